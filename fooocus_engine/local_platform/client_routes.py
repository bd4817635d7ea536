"""What clients ask (platform.md §6): run, runsync, status, stream, cancel, retry, purge-queue, health."""

from __future__ import annotations

from aiohttp import web

from fooocus_engine.local_platform import json_text, limits
from fooocus_engine.local_platform.database import Clock
from fooocus_engine.local_platform.job import State
from fooocus_engine.local_platform.platform import Platform
from fooocus_engine.local_platform.reply import status_text
from fooocus_engine.local_platform.submission import query_milliseconds


class ClientRoutes:
    """Each method answers one route; names of routes are the platform's operations."""

    def __init__(self, platform: Platform, clock: Clock) -> None:
        self._platform = platform
        self._clock = clock

    def table(self, base: str) -> list[web.RouteDef]:
        """The routes under ``base``."""
        return [
            web.post(f"{base}/run", self.run, name="run"),
            web.post(f"{base}/runsync", self.runsync, name="runsync"),
            web.get(f"{base}/status/{{job}}", self.status, name="status"),
            web.post(f"{base}/status/{{job}}", self.status, name="status"),
            web.get(f"{base}/stream/{{job}}", self.stream, name="stream"),
            web.post(f"{base}/stream/{{job}}", self.stream, name="stream"),
            web.post(f"{base}/cancel/{{job}}", self.cancel, name="cancel"),
            web.post(f"{base}/retry/{{job}}", self.retry, name="retry"),
            web.post(f"{base}/purge-queue", self.purge_queue, name="purge-queue"),
            web.get(f"{base}/health", self.health, name="health"),
        ]

    async def run(self, request: web.Request) -> web.Response:
        """A new job, answered at once."""
        job = self._platform.submit(await request.read(), synchronous=False)
        return _json({"id": job.id, "status": job.state})

    async def runsync(self, request: web.Request) -> web.Response:
        """A new job, answered when it has ended or ``wait`` is over."""
        wait = request.query.get("wait", str(limits.WAIT_MS))
        wait_ms = query_milliseconds(wait, "wait", limits.WAIT_RANGE_MS)
        job = self._platform.submit(await request.read(), synchronous=True)
        job = await self._platform.until_ended(job.id, wait_ms / 1000)
        return _answer(self._platform.status(job.id) if job.ended else status_text(job))

    async def status(self, request: web.Request) -> web.Response:
        """Where a job is; with ``ttl`` it vanishes so long after this question."""
        id = request.match_info["job"]
        if ttl := request.query.get("ttl"):
            ttl_ms = query_milliseconds(ttl, "ttl", limits.STATUS_TTL_RANGE_MS)
            self._platform.store.expire_at(id, self._clock() + ttl_ms)
        return _answer(self._platform.status(id))

    async def stream(self, request: web.Request) -> web.Response:
        """The chunks of a job that nobody has fetched yet."""
        job = self._platform.store.find(request.match_info["job"])
        chunks = ",".join(json_text.joined({"output": output}) for output in self._platform.store.fetch_chunks(job.id))
        return _answer(json_text.joined({"status": json_text.write(job.state), "stream": f"[{chunks}]"}))

    async def cancel(self, request: web.Request) -> web.Response:
        """Give a job up."""
        job = self._platform.cancel(request.match_info["job"])
        return _json({"id": job.id, "status": job.state})

    async def retry(self, request: web.Request) -> web.Response:
        """Queue a failed job once more."""
        id = request.match_info["job"]
        self._platform.retry(id)
        return _json({"id": id, "status": State.IN_QUEUE})

    async def purge_queue(self, request: web.Request) -> web.Response:
        """Give up every waiting job."""
        return _json({"removed": self._platform.purge(), "status": "completed"})

    async def health(self, request: web.Request) -> web.Response:
        """Counts of jobs and workers."""
        return _answer(self._platform.health())


def _answer(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


def _json(value: dict[str, object]) -> web.Response:
    return _answer(json_text.write(value))
