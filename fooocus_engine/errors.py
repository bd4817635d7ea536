"""The error tree, and the one table that turns an error into reply fields.

    EngineError
    ├── InvalidRequest            422  one or more problems, each with the field it belongs to
    │   ├── UnknownName           422  a name that is not among the known ones; lists near matches
    │   └── BadImage              422  a picture that cannot be fetched or decoded
    ├── ModelUnavailable          501  a file or an engine part that this deployment lacks
    ├── BadModelFile              500  a file that is there but cannot be used
    ├── GpuOutOfMemory            500
    ├── StorageFailed             500
    ├── BackendFailed             502
    ├── ReplyTooLarge             413
    └── QueueFull                 429
    JobCanceled                   not a failure: the client asked for it

Rooms raise; only the engine and the shim catch.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Location = tuple[str | int, ...]
MAX_ECHO = 256  # characters of a client's value repeated in an answer (api.md §4.9)
ECHO_DEPTH = 3  # nested containers of it repeated
NEAR_MATCHES = 5
MB = 1_000_000


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a request. ``loc`` starts with ``"body"``; ``msg`` says what was seen and what is valid."""

    type: str
    loc: Location
    msg: str
    input: Any = None

    def as_json(self) -> dict[str, Any]:
        """The object of api.md §4.9, long values shortened."""
        return {"type": self.type, "loc": list(self.loc), "msg": self.msg, "input": shortened(self.input)}


def shortened(value: Any, depth: int = ECHO_DEPTH) -> Any:
    """``value`` fit for an answer: strings cut to 256 characters of valid Unicode, finite numbers, few levels deep."""
    match value:
        case str():
            text = value.encode(errors="replace").decode()
            return text if len(text) <= MAX_ECHO else f"{text[:MAX_ECHO]}… ({len(text)} characters)"
        case float() if not math.isfinite(value):
            return str(value)
        case list() | tuple() if depth:
            return [shortened(item, depth - 1) for item in value]
        case Mapping() if depth:
            return {shortened(str(key)): shortened(item, depth - 1) for key, item in value.items()}
        case list() | tuple() | Mapping():
            return "…"
        case int() | float() | None:
            return value
        case _:
            return shortened(str(value))


class EngineError(Exception):
    """Anything the engine refuses or fails to do. ``message`` may be shown to clients."""

    status = 500
    type = "generation_error"
    refresh_worker = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.message = message
        self.hint = hint


class InvalidRequest(EngineError):
    """The request cannot be carried out as written; every problem found is named."""

    status = 422
    type = "validation_error"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{'.'.join(map(str, p.loc[1:])) or 'body'}: {p.msg}" for p in self.problems))


def unknown_name(kind: str, name: str, known: Iterable[str], loc: Location) -> Problem:
    """The problem of a name that is not known: near matches first, else the first few known names."""
    names = list(known)
    near = difflib.get_close_matches(name[:MAX_ECHO].lower(), [n.lower() for n in names], n=NEAR_MATCHES, cutoff=0.5)
    by_lower = {n.lower(): n for n in names}
    if near:
        advice = "near matches: " + ", ".join(by_lower[n] for n in near)
    elif names:
        more = f", … ({len(names)} in all)" if len(names) > NEAR_MATCHES else ""
        advice = "known: " + ", ".join(names[:NEAR_MATCHES]) + more
    else:
        advice = "none is installed"
    return Problem("unknown_name", loc, f"unknown {kind} {shortened(name)!r}; {advice}", name)


class UnknownName(InvalidRequest):
    """A model, style, sampler … that does not exist. Lists near matches."""

    def __init__(self, kind: str, name: str, known: Iterable[str], loc: Location = ("body",)) -> None:
        super().__init__([unknown_name(kind, name, known, loc)])


class BadImage(InvalidRequest):
    """A picture of the request cannot be fetched or decoded."""

    def __init__(self, loc: Location, msg: str, *, fetched: bool = False) -> None:
        super().__init__([Problem("image_fetch_error" if fetched else "image_decode_error", loc, msg)])


class ModelUnavailable(EngineError):
    """A file that the request did not name, but needs, or a part of the engine, is not there."""

    status = 501
    type = "model_unavailable"


class BadModelFile(EngineError):
    """A model file is there but unreadable, refused by the weights-only reader, or of an unsupported kind."""

    type = "model_error"


class GpuOutOfMemory(EngineError):
    """The device has too little memory for this request."""

    type = "out_of_memory"


class StorageFailed(EngineError):
    """A finished picture could not be stored."""

    type = "storage_error"


class BackendFailed(EngineError):
    """The platform behind a door did not answer as it must."""

    status = 502
    type = "backend_error"


class ReplyTooLarge(EngineError):
    """The platform would lose the reply to this job. Names what the client can change."""

    status = 413
    type = "reply_too_large"

    def __init__(self, least: int, limit: int) -> None:
        """Bytes that the reply has at least, and may have at most."""
        super().__init__(
            f"the reply would have {least / MB:.1f} MB or more, and the platform carries {limit / MB:.0f} MB of this "
            "kind of job; lower image_number, choose jpeg or webp as save_extension, or let the worker store pictures "
            "in a bucket"
        )


class QueueFull(EngineError):
    """No more jobs are taken for now."""

    status = 429
    type = "queue_full"


class JobCanceled(Exception):
    """Raised inside a job's thread when its client gave it up."""


def reply_fields(error: BaseException) -> dict[str, Any]:
    """``error`` as the failure object of api.md §6.3: ``status``, ``type``, ``detail``. Unexpected errors tell nothing.

    Any error may have been raised with client text inside; nothing here adds paths or tracebacks.
    """
    match error:
        case InvalidRequest():
            return {"status": error.status, "type": error.type, "detail": [p.as_json() for p in error.problems]}
        case EngineError():
            return {"status": error.status, "type": error.type, "detail": str(error)}
        case JobCanceled():
            return {"status": 400, "type": "canceled", "detail": "USER_CANCEL"}
        case _:
            return {"status": 500, "type": "internal_error", "detail": "Internal Server Error"}
