"""What workers post: the body of job-done and of job-stream, read. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fooocus_engine.local_platform import json_text, limits
from fooocus_engine.local_platform.job import State
from fooocus_engine.local_platform.refusals import BadRequest
from fooocus_engine.local_platform.store import Ending


@dataclass(frozen=True)
class Progress:
    """The newest word of a running job; ``output`` is JSON text."""

    output: str


@dataclass(frozen=True)
class Final:
    """The end of a job. ``stop_worker``: its worker asks to be replaced. ``refused``: what it posted is unusable."""

    ending: Ending
    stop_worker: bool = False
    refused: bool = False


def read_delivery(raw: bytes, *, synchronous: bool) -> Progress | Final:
    """The body of job-done. A final one that is too large, or no JSON, is a failed job: nobody else could tell.

    Raises:
        BadRequest: a progress update that is too large.
    """
    limit = limits.RUNSYNC_BYTES if synchronous else limits.RUN_BYTES
    too_large = f"the result has {len(raw)} bytes; allowed: up to {limit // limits.MB} MB" if len(raw) > limit else None
    try:
        body = _object(raw)
    except BadRequest as error:
        return failed(str(error))
    if body.get("status") == State.IN_PROGRESS:
        if too_large:
            raise BadRequest(too_large)
        return Progress(json_text.write(body.get("output")))
    stop_worker = bool(body.get("stopPod"))
    if too_large:
        return failed(too_large, stop_worker=stop_worker)
    output = None if body.get("output") is None else json_text.write(body["output"])
    return Final(_ending(output, body.get("error")), stop_worker)


def read_chunk(raw: bytes) -> str:
    """The output of one job-stream body, as JSON text.

    Raises:
        BadRequest: it is too large, or no JSON object.
    """
    if len(raw) > limits.CHUNK_BYTES:
        raise BadRequest(f"the chunk has {len(raw)} bytes; allowed: up to {limits.CHUNK_BYTES // limits.MB} MB")
    return json_text.write(_object(raw).get("output"))


def failed(error: str, *, stop_worker: bool = False) -> Final:
    """A job whose result is unusable."""
    return Final(Ending(State.FAILED, error=error), stop_worker, refused=True)


def _ending(output: str | None, error: Any) -> Ending:
    if not error:
        return Ending(State.COMPLETED, output)
    text = error if isinstance(error, str) else json_text.write(error)
    return Ending(State.FAILED, output, text.encode(errors="replace").decode())  # half a surrogate pair cannot be kept


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json_text.read(raw)
    except ValueError as error:
        raise BadRequest("the worker posted no valid JSON", hint=str(error)) from None
    if not isinstance(body, dict):
        raise BadRequest("the worker posted no JSON object")
    return body
