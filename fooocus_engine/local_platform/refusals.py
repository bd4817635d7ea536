"""Why a request to the platform is not carried out; each carries the HTTP status of platform.md §6.2."""

from __future__ import annotations

from fooocus_engine.errors import EngineError


class BadRequest(EngineError):
    """The request cannot be carried out as written."""

    status = 400


class Unauthorized(EngineError):
    """The key is missing or wrong."""

    status = 401


class NotFound(EngineError):
    """No such endpoint or job, or the job has expired."""

    status = 404


class TooManyRequests(EngineError):
    """More requests than the platform takes."""

    status = 429


def unknown_job() -> NotFound:
    """The refusal of a job that does not exist, or no more."""
    return NotFound("no such job", hint="unknown, or expired")
