"""What a status reply of the platform means (api.md §6.6): waiting, working, done, failed, given up.

Pure. Distinguishes a progress update from a result by the state alone, and treats a result of another shape than
the documented one as a failure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fooocus_engine.errors import shortened
from fooocus_engine.shim.platform import PlatformJob

MAX_CAUSE = 300  # characters of the cause that clients are told in one line
MAX_PREVIEW = 600_000  # characters of base64; workers send at most 300 kB (api.md §6.7)
BEFORE_WORDS = "Loading models ..."  # of a job that runs and has not reported yet


@dataclass(frozen=True)
class Failure:
    """Why a job failed: ``status`` and ``detail`` as an HTTP answer tells it, ``cause`` in one line."""

    status: int
    detail: Any
    cause: str


@dataclass(frozen=True)
class Waiting:
    """No worker has it yet."""


@dataclass(frozen=True)
class Working:
    """A worker has it. ``number`` orders updates; ``None`` where there was no update yet."""

    percent: int = 1
    text: str = BEFORE_WORDS
    preview: str | None = None
    number: int | None = None


@dataclass(frozen=True)
class Done:
    """It succeeded; ``output`` is what the worker's handler returned."""

    output: Any


@dataclass(frozen=True)
class Failed:
    """It failed, or was lost."""

    failure: Failure


@dataclass(frozen=True)
class Canceled:
    """It was given up."""


Reading = Waiting | Working | Done | Failed | Canceled


def read(job: PlatformJob) -> Reading:
    """The meaning of a status reply."""
    match job.state:
        case "IN_QUEUE":
            return Waiting()
        case "IN_PROGRESS" | "RUNNING":
            return _working(job.output)
        case "COMPLETED":
            return Done(job.output)
        case "CANCELLED":
            return Canceled()
        case "TIMED_OUT":
            return lost("timed out")
        case "FAILED":
            return Failed(failure_of(job.error))
        case _:
            return lost(f"unknown state {shortened(job.state)}")


def lost(cause: str) -> Failed:
    """A failure of the platform or of this door, not of the worker."""
    return Failed(Failure(500, cause, cause))


def failure_of(error: Any) -> Failure:
    """The failure that a worker's ``error`` describes: the object of api.md §6.3, the SDK's own, or plain words.

    The SDK's traceback and machine names are dropped.
    """
    told = _decoded(error)
    match told:
        case {"status": int(status), "detail": detail} if 400 <= status <= 599:
            return Failure(status, detail, _cause(detail))
        case {"error_message": str(message)}:
            return Failure(500, _line(message), _line(message))
        case str() if told:
            return Failure(500, _line(told), _line(told))
        case _:
            return Failure(500, "the worker gave no reason", "the worker gave no reason")


def _decoded(error: Any) -> Any:
    if not isinstance(error, str):
        return error
    try:
        return json.loads(error)
    except (ValueError, RecursionError):
        return error


def _cause(detail: Any) -> str:
    """One line of a detail: its text, or the places and messages of its problems."""
    if not isinstance(detail, list):
        return _line(str(detail))
    lines = []
    for problem in detail:
        if isinstance(problem, Mapping):
            place = ".".join(str(part) for part in list(problem.get("loc") or ())[1:])
            lines.append(f"{place or 'body'}: {problem.get('msg')}")
    return _line("; ".join(lines) or "the request was refused")


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_CAUSE else line[: MAX_CAUSE - 1] + "…"


def _working(update: Any) -> Working:
    if not isinstance(update, Mapping):
        return Working()
    percent, text, number = update.get("job_progress"), update.get("job_status"), update.get("n")
    preview = update.get("job_step_preview")
    return Working(
        int(percent) if isinstance(percent, int | float) and 0 <= percent <= 100 else 1,
        _line(text) if isinstance(text, str) and text else BEFORE_WORDS,
        preview if isinstance(preview, str) and 0 < len(preview) <= MAX_PREVIEW else None,
        number if isinstance(number, int) else None,
    )
