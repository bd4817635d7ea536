"""The last gate before the platform: results and errors become JSON that the SDK can post for certain.

The SDK silently drops what it cannot encode, and the platform what is too large (platform.md §2.3, §10): both are
found out here. Knows nothing of what a reply means.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from fooocus_engine.errors import MB, EngineError, ReplyTooLarge, reply_fields

LIMIT_BYTES = 9 * MB  # of the encoded body; the platform takes 10 MB of an asynchronous job
SYNC_LIMIT_BYTES = 18 * MB  # the platform takes 20 MB of a synchronous one
SYNC_PREFIX = "sync-"
MAX_PROBLEMS = 50  # of one error: it stays a short text whatever the client sent
DEVICE_ERRORS = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "HIP error")


class UnsendableReply(EngineError):
    """The engine returned a value that is no JSON: a fault of this program, told before the SDK loses the job."""


def checked_reply(output: Any, job_id: str) -> Any:
    """``output`` as plain JSON values that fit through the platform: tuples as lists, broken surrogates replaced.

    Raises:
        UnsendableReply: something inside is no JSON value.
        ReplyTooLarge: the encoded body is over the limit of this kind of job.
    """
    plain = _plain(output, _refused)
    limit = size_limit(job_id)
    size = len(json.dumps({"output": plain}, ensure_ascii=False, allow_nan=False).encode())
    if size > limit:
        raise ReplyTooLarge(size, limit)
    return plain


def size_limit(job_id: str) -> int:
    """Bytes of encoded JSON that a reply to this job may have; only the id tells how it was asked for."""
    return SYNC_LIMIT_BYTES if job_id.startswith(SYNC_PREFIX) else LIMIT_BYTES


def failure(error: BaseException) -> dict[str, Any]:
    """The reply of a failed job: ``error`` is compact JSON text; ``refresh_worker`` asks for a new process."""
    fields = reply_fields(error)
    if isinstance(fields["detail"], list):
        fields["detail"] = fields["detail"][:MAX_PROBLEMS]
    reply: dict[str, Any] = {"error": json.dumps(_plain(fields, str), separators=(",", ":"), allow_nan=False)}
    if needs_new_worker(error):
        reply["refresh_worker"] = True
    return reply


def needs_new_worker(error: BaseException) -> bool:
    """Whether this process cannot go on: the error says so itself, or the device is broken behind it."""
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "refresh_worker", False) or str(cause).startswith(DEVICE_ERRORS):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _refused(value: object) -> Any:
    shown = repr(value) if isinstance(value, float | str | int) else f"a {type(value).__name__}"
    raise UnsendableReply(f"the reply holds {shown}, which is no JSON value")


def _plain(value: Any, odd: Callable[[object], Any]) -> Any:
    """``value`` rebuilt of JSON types alone; whatever is none becomes what ``odd`` makes of it."""
    match value:
        case None | bool():
            return value
        case str():
            return value if value.isascii() else _whole_characters(value)
        case int():
            return int(value)
        case float():
            return float(value) if math.isfinite(value) else odd(value)
        case list() | tuple():
            return [_plain(item, odd) for item in value]
        case Mapping():
            return {
                _plain(key if isinstance(key, str) else odd(key), odd): _plain(item, odd) for key, item in value.items()
            }
        case _:
            return odd(value)


def _whole_characters(text: str) -> str:
    """``text`` with surrogate pairs joined and lone halves replaced, so that UTF-8 can hold it."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
