"""A platform without workers for tests: the client routes of platform.md §6, on loopback, in the test's own process.

Jobs are answered at once by ``worker``, unless ``held``: then the test moves them on. Calls can be made to fail.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.shim.stub_worker import worker

KEY = "platform-key"
PREFIX = "/v2/ep"
Worker = Callable[[str, dict[str, Any]], dict[str, Any]]


@dataclass(eq=False)
class StubJob:
    """A job on the platform. ``output`` while it runs is its last update."""

    id: str
    body: dict[str, Any]
    state: str = "IN_QUEUE"
    output: Any = None
    error: str | None = None
    timed: bool = True

    @property
    def input(self) -> dict[str, Any]:
        return self.body["input"]

    def reply(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"id": self.id, "status": self.state}
        if self.state != "IN_QUEUE" and self.timed:
            fields |= {"delayTime": 40, "executionTime": 250}
        return fields | {k: v for k, v in (("output", self.output), ("error", self.error)) if v is not None}


@dataclass(eq=False)
class StubPlatform:
    """``faults`` by operation, one for each next call: a status, ``"hang"``, ``"drop"``, ``"garbage"`` or ``None``."""

    worker: Worker = worker
    held: bool = False
    faults: dict[str, deque[Any]] = field(default_factory=lambda: defaultdict(deque))
    jobs: dict[str, StubJob] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    workers: dict[str, int] = field(default_factory=lambda: {"idle": 1, "running": 0})
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    called: threading.Condition = field(default_factory=threading.Condition)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64_000_000)
        app.add_routes(
            [
                web.post(f"{PREFIX}/run", self._run),
                web.post(f"{PREFIX}/runsync", self._runsync),
                web.get(f"{PREFIX}/status/{{id}}", self._status),
                web.post(f"{PREFIX}/cancel/{{id}}", self._cancel),
                web.get(f"{PREFIX}/health", self._health),
            ]
        )
        return app

    def inputs(self) -> list[dict[str, Any]]:
        """The inputs of all jobs, in order of submission."""
        return [job.input for job in self.jobs.values()]

    def finish(self, job: StubJob) -> None:
        """Let the worker answer."""
        reply = self.worker(job.id, job.input)
        job.error = reply.pop("error", None)
        job.state, job.output = ("FAILED", reply or None) if job.error else ("COMPLETED", reply)

    def release(self) -> None:
        """Answer everything that is open, and from now on at once."""
        self.held = False
        for job in list(self.jobs.values()):
            if job.state in ("IN_QUEUE", "IN_PROGRESS"):
                self.finish(job)

    def count(self, operation: str) -> int:
        return sum(called == operation for called, _ in self.calls)

    def wait_for(self, operation: str, times: int = 1) -> None:
        """Return when an operation has been called so often."""
        with self.called:
            assert self.called.wait_for(lambda: self.count(operation) >= times, timeout=60)

    async def _run(self, request: web.Request) -> web.StreamResponse:
        return await self._answered("run", request) or self._taken(await request.json(), "")

    async def _runsync(self, request: web.Request) -> web.StreamResponse:
        return await self._answered("runsync", request) or self._taken(await request.json(), "sync-")

    def _taken(self, body: dict[str, Any], prefix: str) -> web.Response:
        job = StubJob(f"{prefix}{len(self.jobs):08d}-0000-u1", body)
        self.jobs[job.id] = job
        if not self.held:
            self.finish(job)
        return web.json_response(job.reply() if prefix else {"id": job.id, "status": "IN_QUEUE"})

    async def _status(self, request: web.Request) -> web.StreamResponse:
        fault = await self._answered("status", request)
        job = self.jobs.get(request.match_info["id"])
        return fault or (web.json_response(job.reply()) if job else web.json_response({"error": "none"}, status=404))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        fault = await self._answered("cancel", request)
        job = self.jobs.get(request.match_info["id"])
        if fault or job is None:
            return fault or web.json_response({"error": "none"}, status=404)
        if job.state in ("IN_QUEUE", "IN_PROGRESS"):
            job.state, job.output = "CANCELLED", None
        return web.json_response({"id": job.id, "status": job.state})

    async def _health(self, request: web.Request) -> web.StreamResponse:
        jobs = {"completed": 0, "failed": 0, "inProgress": 0, "inQueue": 0, "retried": 0}
        return await self._answered("health", request) or web.json_response({"jobs": jobs, "workers": self.workers})

    async def _answered(self, operation: str, request: web.Request) -> web.StreamResponse | None:
        """Note the call; the answer of a fault, if one is due."""
        with self.called:
            self.calls.append((operation, request.match_info.get("id", "")))
            self.called.notify_all()
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": "unauthorized"}, status=401)
        if not self.faults[operation]:
            return None
        match self.faults[operation].popleft():
            case None:
                return None
            case "hang":
                await self.ended.wait()
                return web.Response(status=500)
            case "drop":
                assert request.transport is not None
                request.transport.close()
                return web.Response(status=500)
            case "garbage":
                return web.Response(text="<html>", content_type="text/html")
            case status:
                return web.json_response({"error": f"key {KEY}"}, status=status)
