"""run, runsync, status, cancel and health over HTTP: the door's only backend (platform.md §6).

The base address decides whether that is a hosted endpoint or the platform on this machine. Takes bytes and ids, gives
``PlatformJob``s, and raises an error of the house for every answer that is none. Repeats what may be repeated; knows
neither requests nor the door's own jobs.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp

from fooocus_engine.errors import BackendFailed, EngineError, QueueFull

log = logging.getLogger(__name__)

REFUSALS = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
MAX_REPLY_BYTES = 64_000_000
MAX_WAIT_MS, MIN_WAIT_MS = 300_000, 1000  # of runsync (platform.md §6)


class PlatformUnreachable(BackendFailed):
    """It does not answer, or only with errors of its own."""

    status = 503
    type = "backend_unreachable"


class PlatformBusy(QueueFull):
    """It takes no more calls for now."""


class JobGone(BackendFailed):
    """The platform does not know this job, or no longer."""


class BodyTooLarge(EngineError):
    """It takes no request of this size."""

    status = 413
    type = "request_too_large"


@dataclass(frozen=True)
class PlatformJob:
    """A status reply. While the job runs ``output`` is its last progress update."""

    id: str
    state: str
    output: Any = None
    error: Any = None
    delay_ms: int | None = None
    execution_ms: int | None = None


@dataclass(frozen=True)
class Patience:
    """How long one call may take and how often it is repeated."""

    timeout_s: float = 30.0
    tries: int = 3
    pause_s: float = 0.5
    """Before the second try; doubles."""


@dataclass(frozen=True)
class _Call:
    """One call of the platform. One with a body makes a job, and is not repeated when nobody knows whether it did."""

    method: str
    path: str
    body: bytes | None = None
    wait_s: float = 0.0
    """How long the platform itself may hold it."""
    once: bool = False
    """Whoever calls does so again anyway."""


class Platform:
    """One endpoint of the platform. ``session`` belongs to the caller."""

    def __init__(self, endpoint_url: str, key: str, session: aiohttp.ClientSession, *, patience: Patience) -> None:
        self._url = endpoint_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session = session
        self._patience = patience

    async def run(self, body: bytes) -> PlatformJob:
        """Queue a job; gives its id and state.

        Not repeated when it is unknown whether the platform took it.

        Raises:
            PlatformBusy, PlatformUnreachable, BodyTooLarge, BackendFailed: no job came of it.
        """
        return _job(await self._answer(_Call("POST", "run", body)))

    async def run_sync(self, body: bytes, *, wait_s: float) -> PlatformJob:
        """Queue a job and wait for its end, ``wait_s`` seconds at most; it may still be open then.

        Raises:
            PlatformBusy, PlatformUnreachable, BodyTooLarge, BackendFailed: no job came of it.
        """
        wait_ms = max(MIN_WAIT_MS, min(round(wait_s * 1000), MAX_WAIT_MS))
        return _job(await self._answer(_Call("POST", f"runsync?wait={wait_ms}", body, wait_s=wait_ms / 1000)))

    async def status(self, job_id: str) -> PlatformJob:
        """The job as of now. Tried once: whoever follows a job asks again anyway.

        Raises:
            JobGone: it is unknown or expired.
            PlatformBusy, PlatformUnreachable, BackendFailed: nothing was learned.
        """
        return _job(await self._answer(_Call("GET", f"status/{quote(job_id, safe='')}", once=True)))

    async def cancel(self, job_id: str) -> None:
        """Give the job up, whether it waits or runs.

        Raises:
            JobGone: it is unknown or expired.
            PlatformBusy, PlatformUnreachable, BackendFailed: it may still run.
        """
        await self._answer(_Call("POST", f"cancel/{quote(job_id, safe='')}"))

    async def give_up(self, job_id: str) -> None:
        """Cancel a job; that it could not be done is only logged."""
        try:
            await self.cancel(job_id)
        except EngineError as error:
            log.warning("job %s was not canceled: %s", job_id, error)

    async def health(self) -> Mapping[str, Any]:
        """Counts of jobs and workers of the whole endpoint.

        Raises:
            PlatformBusy, PlatformUnreachable, BackendFailed: nothing was learned.
        """
        return await self._answer(_Call("GET", "health", once=True))

    async def _answer(self, call: _Call) -> Mapping[str, Any]:
        """The answer to a call, after repeating it as far as it may be repeated."""
        pause, left = self._patience.pause_s, 1 if call.once else self._patience.tries
        while True:
            left -= 1
            try:
                return await self._once(call)
            except PlatformUnreachable as error:
                if not left or (isinstance(error, _Lost) and call.body is not None):
                    raise
                log.info("platform: %s; trying again in %.1f s", error, pause)
                await asyncio.sleep(pause)
                pause *= 2

    async def _once(self, call: _Call) -> Mapping[str, Any]:
        headers = self._headers | ({"Content-Type": "application/json"} if call.body is not None else {})
        try:
            async with self._session.request(
                call.method,
                f"{self._url}/{call.path}",
                data=call.body,
                headers=headers,
                timeout=aiohttp.ClientTimeout(total=self._patience.timeout_s + call.wait_s),
                allow_redirects=False,
            ) as reply:
                return _checked(reply.status, await _read(reply), call.path)
        except aiohttp.ClientConnectorError:
            raise PlatformUnreachable("the platform cannot be reached") from None
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise _Lost(f"the platform gave no answer ({type(error).__name__})") from None


class _Lost(PlatformUnreachable):
    """The call was sent, and nobody knows what became of it."""


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in reply.content.iter_any():
        size += len(part)
        if size > MAX_REPLY_BYTES:
            raise BackendFailed(f"the platform's answer has more than {MAX_REPLY_BYTES // 1_000_000} MB")
        parts.append(part)
    return b"".join(parts)


def _checked(status: int, body: bytes, path: str) -> Mapping[str, Any]:
    """The object that an answer holds, or the error that it means. Nothing of a refusal's text is handed on."""
    match status:
        case HTTPStatus.NOT_FOUND if path.startswith(("status/", "cancel/")):
            raise JobGone("the platform does not know this job")
        case _ if status in REFUSALS:
            raise BackendFailed(f"RunPod: {status} {HTTPStatus(status).phrase}", hint="check endpoint id and key")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise BodyTooLarge("the platform takes no request of this size")
        case HTTPStatus.TOO_MANY_REQUESTS:
            raise PlatformBusy("the platform takes no more calls for now")
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise PlatformUnreachable(f"RunPod: {status}")
        case _ if status >= HTTPStatus.MULTIPLE_CHOICES:
            raise BackendFailed(f"RunPod: {status}")
    try:
        reply = json.loads(body)
    except ValueError:
        raise BackendFailed("the platform's answer is no JSON") from None
    if not isinstance(reply, dict):
        raise BackendFailed("the platform's answer is no object")
    return reply


def _job(reply: Mapping[str, Any]) -> PlatformJob:
    id, state = reply.get("id"), reply.get("status")
    if not (isinstance(id, str) and id and isinstance(state, str)):
        raise BackendFailed("the platform's answer names no job")
    return PlatformJob(
        id, state, reply.get("output"), reply.get("error"), _ms(reply.get("delayTime")), _ms(reply.get("executionTime"))
    )


def _ms(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**53 else None
