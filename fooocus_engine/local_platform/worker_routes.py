"""What the SDK's worker asks (platform.md §4): jobs, stops, results, chunks, heartbeats."""

from __future__ import annotations

import logging

from aiohttp import web

from fooocus_engine.local_platform import json_text, limits
from fooocus_engine.local_platform.delivery import Final, Progress, failed, read_chunk, read_delivery
from fooocus_engine.local_platform.platform import Platform
from fooocus_engine.local_platform.refusals import BadRequest

log = logging.getLogger(__name__)

UNHEALTHY = "unhealthy"


class WorkerRoutes:
    """Each method answers one route. The SDK reads no more than the status of what it posts."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def table(self, base: str) -> list[web.RouteDef]:
        """The routes under ``base``."""
        return [
            web.get(f"{base}/job-take/{{worker}}", self.take),
            web.get(f"{base}/job-take-batch/{{worker}}", self.take_batch),
            web.get(f"{base}/job-stop/{{worker}}", self.stop),
            web.post(f"{base}/job-done/{{worker}}/{{job}}", self.done),
            web.post(f"{base}/job-stream/{{worker}}/{{job}}", self.stream),
            web.get(f"{base}/ping/{{worker}}", self.ping),
        ]

    async def take(self, request: web.Request) -> web.Response:
        """One job, or 204."""
        jobs = await self._platform.take(request.match_info["worker"], 1)
        return _answer(jobs[0]) if jobs else _nothing()

    async def take_batch(self, request: web.Request) -> web.Response:
        """Up to ``batch_size`` jobs, or 204."""
        size = request.query.get("batch_size", "1")
        if not (size.isascii() and size.isdigit() and 1 <= int(size[:9]) <= limits.MAX_BATCH):
            raise BadRequest(f"batch_size is {size[:9]!r}; allowed: 1 to {limits.MAX_BATCH}")
        jobs = await self._platform.take(request.match_info["worker"], int(size))
        return _answer(f"[{','.join(jobs)}]") if jobs else _nothing()

    async def stop(self, request: web.Request) -> web.Response:
        """The jobs to stop, or 204."""
        ids = await self._platform.stops(request.match_info["worker"])
        return _answer(json_text.write({"jobsToStop": ids})) if ids else _nothing()

    async def done(self, request: web.Request) -> web.Response:
        """Progress, or the end of a job; a result that cannot be taken fails the job and is answered with 400."""
        id = request.match_info["job"]
        job = self._platform.store.find(id)
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            refused = failed(f"the result has more than {limits.BODY_BYTES // limits.MB} MB")
            self._deliver(request, refused)
            raise
        delivery = read_delivery(raw, synchronous=job.synchronous)
        self._deliver(request, delivery)
        if isinstance(delivery, Final) and delivery.refused:
            raise BadRequest(str(delivery.ending.error))
        return web.Response()

    async def stream(self, request: web.Request) -> web.Response:
        """One chunk of a generator."""
        worker, id = request.match_info["worker"], request.match_info["job"]
        if not self._platform.store.add_chunk(worker, id, read_chunk(await request.read())):
            log.info("job %s: a late chunk of worker %s", id, worker)
        return web.Response()

    async def ping(self, request: web.Request) -> web.Response:
        """A heartbeat, with the jobs at hand; or the word of a worker that it is unfit."""
        worker = request.match_info["worker"]
        if request.query.get("status") == UNHEALTHY:
            log.warning("worker %s is unfit: %r", worker, request.query.get("check", ""))
            self._platform.roster.doubt(worker)
        else:
            self._platform.ping(worker, [id for id in request.query.get("job_id", "").split(",") if id])
        return web.Response()

    def _deliver(self, request: web.Request, delivery: Progress | Final) -> None:
        worker, id = request.match_info["worker"], request.match_info["job"]
        if not self._platform.deliver(worker, id, delivery):
            log.info("job %s: a late %s of worker %s", id, type(delivery).__name__.lower(), worker)


def _answer(text: str) -> web.Response:
    return web.Response(text=text, content_type="application/json")


def _nothing() -> web.Response:
    return web.Response(status=204)
