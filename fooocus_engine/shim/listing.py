"""Questions that a worker answers at once, without a job: tools and listings (api.md §6.5).

Model lists are remembered, so that a listing alone never wakes a sleeping GPU.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

from fooocus_engine.errors import BackendFailed, EngineError
from fooocus_engine.shim.follower import DoorCloses
from fooocus_engine.shim.pace import GROWTH
from fooocus_engine.shim.payload import Packer
from fooocus_engine.shim.platform import JobGone, Platform, PlatformJob
from fooocus_engine.shim.reading import Canceled, Done, Failed, Failure, read

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LAST_PAUSE_S = 0.2, 1.0


class AnswerFailed(EngineError):
    """The worker refused the question; ``failure`` tells why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.cause)
        self.failure = failure


class AnswerLate(EngineError):
    """No answer within the time of a synchronous call."""

    status = 504
    type = "timeout"


class Listing:
    """Asks workers, and remembers what they have installed."""

    def __init__(self, platform: Platform, packer: Packer, timeout_s: float) -> None:
        self._platform = platform
        self._packer = packer
        self._timeout_s = timeout_s
        self._models: dict[bool, Any] = {}
        self._asking: set[asyncio.Task[Any]] = set()
        self._closing = False

    async def ask(self, fields: Mapping[str, Any]) -> Any:
        """What a worker answers to ``fields``.

        Raises:
            AnswerFailed: it refused.
            AnswerLate: it took too long.
            DoorCloses: this process ends.
            EngineError: the platform gives no answer.
        """
        task = asyncio.create_task(self._asked(fields))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        try:
            return await task
        except asyncio.CancelledError:
            if not self._closing:
                raise
            raise DoorCloses("the server is stopping") from None

    def let_go(self) -> None:
        """Nobody is to wait any longer: the process is about to end."""
        self._closing = True
        for task in tuple(self._asking):
            task.cancel()

    async def _asked(self, fields: Mapping[str, Any]) -> Any:
        parcel = await self._packer.pack(fields, policy=None, waited_for=True)
        deadline = time.monotonic() + self._timeout_s
        job = await self._platform.run_sync(parcel.body, wait_s=self._timeout_s)
        return await self._answer(job, deadline)

    async def models(self, *, details: bool) -> Any:
        """The installed models: as a free worker tells them now, else as they were told last."""
        known = self._models.get(details)
        if known is not None and not await self.worker_free():
            return known
        try:
            return await self.models_now("all-models", details=details)
        except EngineError as error:
            if known is None:
                raise
            log.info("the models as they were told last: %s", error)
            return known

    async def models_now(self, endpoint: str, *, details: bool) -> Any:
        """The installed models as a worker finds them."""
        found = await self.ask({"endpoint": endpoint, "details": details})
        if not isinstance(found, Mapping) or not {"model_filenames", "lora_filenames"} <= found.keys():
            raise BackendFailed("the worker's answer is no list of models")
        self._models[details] = found
        return found

    async def worker_free(self) -> bool:
        """Whether a worker is awake and has nothing to do."""
        return bool((await self._workers()).get("idle"))

    async def worker_awake(self) -> bool:
        """Whether a worker is awake."""
        workers = await self._workers()
        return bool(workers.get("idle") or workers.get("running"))

    async def _workers(self) -> Mapping[str, Any]:
        try:
            workers = (await self._platform.health()).get("workers")
        except EngineError as error:
            log.info("the platform tells nothing of its workers: %s", error)
            return {}
        return workers if isinstance(workers, Mapping) else {}

    async def _answer(self, job: PlatformJob, deadline: float) -> Any:
        pause = FIRST_PAUSE_S
        while True:
            match read(job):
                case Done(output):
                    return output
                case Failed(failure):
                    raise AnswerFailed(failure)
                case Canceled():
                    raise AnswerFailed(Failure(500, "the question was canceled", "canceled"))
            if time.monotonic() + pause > deadline:
                raise AnswerLate("the workers took too long to answer")
            await asyncio.sleep(pause)
            pause = min(pause * GROWTH, LAST_PAUSE_S)
            try:
                job = await self._platform.status(job.id)
            except JobGone:
                raise BackendFailed("the answer has expired") from None
            except EngineError as error:
                log.info("the platform tells nothing of a question: %s", error)
