"""What can go wrong between a platform and its workers, on request of a test: a middleware around the routes.

Lives beside the tests, so no client and no setting can switch it on.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

from aiohttp import web

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.app import PLATFORM
from fooocus_engine.local_platform.delivery import Final
from fooocus_engine.local_platform.job import State
from fooocus_engine.local_platform.store import Ending

TAKES = ("job-take", "job-take-batch")


@dataclass
class Faults:
    """Each list is used up from its front, one entry a request; what is not listed goes well."""

    takes: list = field(default_factory=list)
    """Answers to polls for jobs: a status, "hang", "garbage", "null", "empty", "text", or "repeat" (the last job)."""
    dones: list = field(default_factory=list)
    """Answers to final results: a status (the result is not taken); "drop" (200, not taken)."""
    dead_pings: bool = False
    """No heartbeat arrives."""
    swap_progress: bool = False
    """Progress arrives in pairs of the wrong order."""
    drop_empty_input: bool = False
    """A job with an empty object as input is handed out without one."""
    lose_large: bool = False
    """A result over the limit is answered with 400 and its job completed without output, as on the live platform."""

    def __post_init__(self):
        self._last_job = None
        self._held_progress = None

    def middleware(self):
        @web.middleware
        async def faulty(request, handler):
            operation = request.path.split("/")[3] if request.path.count("/") >= 3 else ""
            if operation in TAKES:
                return await self._take(request, handler)
            if operation == "job-done":
                return await self._done(request, handler)
            if operation == "ping" and self.dead_pings:
                return web.Response(status=500)
            return await handler(request)

        return faulty

    async def _take(self, request, handler):
        match self.takes.pop(0) if self.takes else None:
            case int(status):
                return web.Response(status=status)
            case "hang":
                await asyncio.Event().wait()
            case "garbage":
                return web.Response(text="{no json", content_type="application/json")
            case "null":
                return web.Response(text="null", content_type="application/json")
            case "empty":
                return web.Response(text="", content_type="application/json")
            case "text":
                return web.Response(text="<p>busy</p>", content_type="text/html")
            case "repeat":
                return web.Response(text=self._last_job, content_type="application/json")
        response = await handler(request)
        if response.status == 200:
            self._last_job = response.text
            if self.drop_empty_input:
                response = self._without_input(response)
        return response

    def _without_input(self, response):
        job = json.loads(response.text)
        if isinstance(job, dict) and job.get("input") == {}:
            del job["input"]
            return web.json_response(job)
        return response

    async def _done(self, request, handler):
        raw = await request.read()
        if b'"IN_PROGRESS"' in raw[:40] and json.loads(raw).get("status") == "IN_PROGRESS":
            return await self._progress(request, handler)
        match self.dones.pop(0) if self.dones else None:
            case int(status):
                return web.Response(status=status)
            case "drop":
                return web.Response()
        if self.lose_large and len(raw) > limits.RUN_BYTES:
            ended = Final(Ending(State.COMPLETED))
            request.app[PLATFORM].deliver(request.match_info["worker"], request.match_info["job"], ended)
            return web.Response(status=400)
        return await handler(request)

    async def _progress(self, request, handler):
        if not self.swap_progress:
            return await handler(request)
        if self._held_progress is None:
            self._held_progress = request
            return web.Response()
        held, self._held_progress = self._held_progress, None
        await handler(request)
        return await handler(held)
