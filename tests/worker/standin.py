"""A small platform on loopback: the worker's routes of platform.md §4, with faults that a test scripts.

Strict: what a worker must never do is kept in ``violations``. Not durable, and for one worker. Only benchmarks and
tests use it; clients have `local_platform`.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

LIMIT_BYTES = 10_000_000  # of a result (platform.md §10)
BODY_BYTES = 64_000_000  # read at all
PATIENCE_S = 240.0  # after which a wait fails unless told otherwise; generous, for slow machines
MISSED_PINGS = 3  # in a row that do not tell a running job, until it is handed out again
RETRIES = 1

Fault = int | str
"""A status, or ``hang`` (until ``release``), ``reset``, or for a take: the body that comes instead of a job."""


@dataclass
class Job:
    """A job as the platform knows it."""

    id: str
    fields: dict[str, Any]
    state: str = "queued"
    """``queued``, ``running``, ``completed``, ``failed``, ``cancelled``."""
    result: dict[str, Any] | None = None
    progress: list[dict[str, Any]] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    """When each of ``progress`` came, in seconds of the loop."""
    taken: int = 0
    posts: int = 0
    """Attempts to deliver a result, the refused ones included."""
    missed: int = 0
    told_to_stop: bool = False
    """The worker has heard of the cancel."""

    @property
    def over(self) -> bool:
        return self.state in ("completed", "failed", "cancelled")

    @property
    def output(self) -> Any:
        return None if self.result is None else self.result.get("output")

    @property
    def error(self) -> dict[str, Any]:
        """The failure of api.md §6.3."""
        assert self.result is not None
        fields: dict[str, Any] = json.loads(self.result["error"])
        return fields


class StandIn:
    """One endpoint. Everything runs on the loop that ``served`` was entered on."""

    def __init__(self, *, hold_s: float = 20.0, lease: bool = False, patience_s: float = PATIENCE_S) -> None:
        self.jobs: dict[str, Job] = {}
        self.violations: list[str] = []
        self.take_faults: deque[Fault] = deque()
        self.result_faults: dict[str, list[Fault]] = {}
        """Job id → what its next results meet."""
        self.progress_faults: dict[str, list[Fault]] = {}
        self.ping_faults: deque[Fault] = deque()
        self.takes: list[float] = []
        """When each request for jobs came, in seconds of the loop."""
        self.pings: list[dict[str, str]] = []
        self.polling = 0
        """Requests for jobs that are held open now."""
        self.stop_pods = 0
        self.port = 0
        self._hold_s = hold_s
        self._lease = lease
        self._patience_s = patience_s
        self._queue: deque[str] = deque()
        self._stops: list[str] = []
        self._released = asyncio.Event()
        self._closing = False
        self._waiting: set[asyncio.Future[None]] = set()

    @asynccontextmanager
    async def served(self) -> AsyncIterator[StandIn]:
        """Listen on a free port."""
        runner = web.AppRunner(self._app(), handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            self.release()
            self._closing = True
            self._tell()
            await runner.cleanup()

    # What a test does

    def submit(self, id: str, /, *, deliveries: int = 1, **fields: Any) -> Job:
        """Queue a job. ``fields`` is what is delivered beside its id, ``input`` as a rule."""
        job = self.jobs.setdefault(id, Job(id, fields))
        self._queue.extend([id] * deliveries)
        self._tell()
        return job

    def stop(self, id: str) -> None:
        """Cancel a job, also one that is unknown."""
        if (job := self.jobs.get(id)) and not job.over:
            job.state = "cancelled"
        if id not in self._queue:
            self._stops.append(id)
        self._queue = deque(other for other in self._queue if other != id)
        self._tell()

    def spoil_takes(self, *faults: Fault) -> None:
        """Answer the next requests for jobs with these; one that is held open is answered with 204 first."""
        self.take_faults.extend(faults)
        self._tell()

    def release(self) -> None:
        """Let go of every request that hangs now."""
        self._released.set()
        self._released = asyncio.Event()

    async def until(self, happened: Callable[[], Any]) -> None:
        """Wait until ``happened`` is true.

        Raises:
            TimeoutError: it is not, after the patience of this stand-in.
        """
        async with asyncio.timeout(self._patience_s):
            while not happened():
                waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._waiting.add(waiter)
                await waiter

    async def ended(self, *ids: str) -> None:
        """Wait for the end of these jobs, of all without ids."""
        await self.until(lambda: all(self.jobs[id].over for id in ids or self.jobs))

    # What a worker does

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES)
        app.add_routes(
            [
                web.get("/v2/ep/job-take/{worker}", self._take),
                web.get("/v2/ep/job-take-batch/{worker}", self._take),
                web.get("/v2/ep/job-stop/{worker}", self._stop_poll),
                web.post("/v2/ep/job-done/{worker}/{job}", self._done),
                web.get("/v2/ep/ping/{worker}", self._ping),
            ]
        )
        return app

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.takes.append(asyncio.get_running_loop().time())
        self._tell()
        if self.take_faults:
            return await self._faulty(request, self.take_faults.popleft())
        self.polling += 1
        try:
            await self._held(lambda: self._queue or self.take_faults)
        finally:
            self.polling -= 1
        if not self._queue:
            return web.Response(status=204)
        batch = "batch_size" in request.query
        taken = [self._handed_out() for _ in range(min(int(request.query.get("batch_size", 1)), len(self._queue)))]
        return web.json_response(taken if batch else taken[0])

    def _handed_out(self) -> dict[str, Any]:
        job = self.jobs[self._queue.popleft()]
        job.state, job.taken, job.missed = "running", job.taken + 1, 0
        self._tell()
        return {"id": job.id, **job.fields}

    async def _stop_poll(self, request: web.Request) -> web.StreamResponse:
        await self._held(lambda: self._stops)
        if not self._stops:
            return web.Response(status=204)
        ids, self._stops = self._stops, []
        for job in (self.jobs[id] for id in ids if id in self.jobs):
            job.told_to_stop = True
        return web.json_response({"jobsToStop": ids})

    async def _done(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        body: dict[str, Any] = json.loads(raw, parse_constant=self._no_constant)
        job = self.jobs.get(request.match_info["job"])
        if job is None:
            self._violated(f"a post for an unknown job {request.match_info['job']}")
            return web.Response(status=404)
        progress = body.get("status") == "IN_PROGRESS"
        job.posts += not progress
        self._tell()
        faults = (self.progress_faults if progress else self.result_faults).get(job.id)
        if faults:
            return await self._faulty(request, faults.pop(0))
        if progress:
            self._take_progress(job, body["output"])
        else:
            self._take_result(job, body, len(raw))
        self._tell()
        return web.json_response({})

    def _take_progress(self, job: Job, update: dict[str, Any]) -> None:
        if job.state != "running" and job.state != "cancelled":  # an update may meet the cancel on its way
            self._violated(f"progress of {job.id}, which is {job.state}")
        job.progress.append(update)
        job.arrivals.append(asyncio.get_running_loop().time())

    def _take_result(self, job: Job, body: dict[str, Any], size: int) -> None:
        if job.told_to_stop and job.state == "cancelled":
            self._violated(f"a result of {job.id}, which was to be stopped")
        if size > LIMIT_BYTES:
            self._violated(f"a result of {size} bytes for {job.id}")
        self.stop_pods += bool(body.get("stopPod"))
        if not job.over:
            job.result, job.state = body, "failed" if "error" in body else "completed"

    async def _ping(self, request: web.Request) -> web.StreamResponse:
        self.pings.append(dict(request.query))
        self._tell()
        if self.ping_faults:
            return await self._faulty(request, self.ping_faults.popleft())
        told = request.query.get("job_id", "").split(",")
        for job in self.jobs.values():
            job.missed = 0 if job.state != "running" or job.id in told else job.missed + 1
            if self._lease and job.missed >= MISSED_PINGS:
                self._lost(job)
        return web.json_response({})

    def _lost(self, job: Job) -> None:
        """The worker does not have the job any more: hand it out again, or give it up (platform.md §6.1)."""
        job.missed = 0
        if job.taken > RETRIES:
            job.state, job.result = "failed", {"error": "job timed out after 1 retries"}
        else:
            job.state = "queued"
            self._queue.append(job.id)
        self._tell()

    async def _faulty(self, request: web.Request, fault: Fault) -> web.StreamResponse:
        match fault:
            case int():
                return web.Response(status=fault)
            case "hang":
                await self._released.wait()
                return web.Response(status=204)
            case "reset":
                if request.transport is not None:
                    request.transport.abort()
                return web.Response()
            case _:
                return web.Response(text=fault, content_type="application/json")

    async def _held(self, ready: Callable[[], Any]) -> None:
        """Hold a request until there is something to tell, or its time is over."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._hold_s
        while not ready() and (rest := until - loop.time()) > 0 and not self._closing:
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiting.add(waiter)
            await asyncio.wait([waiter], timeout=rest)

    def _tell(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    def _violated(self, what: str) -> None:
        self.violations.append(what)

    def _no_constant(self, name: str) -> None:
        self._violated(f"{name} in a body")
