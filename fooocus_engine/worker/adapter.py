"""Between the SDK's event loop and the engine: each job on a thread of its own, cancelled by a flag, answered always.

The SDK stops a job by cancelling its asyncio task (platform.md §2.7); a thread cannot be stopped from outside, so
the cancellation becomes ``job.cancel()``, the thread is waited for, and only then the cancellation goes on.
The engine and the senders of progress are handed in; the SDK is not imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fooocus_engine.errors import EngineError, JobCanceled, reply_fields
from fooocus_engine.jobs.events import Canceled, Event, Failed
from fooocus_engine.jobs.job import Delivery, Job
from fooocus_engine.settings import Settings
from fooocus_engine.worker.progress import ProgressSender
from fooocus_engine.worker.reply import checked_reply, failure, needs_new_worker, size_limit
from fooocus_engine.worker.taking import Taking
from fooocus_engine.worker.webhooks import Webhooks

log = logging.getLogger(__name__)

INTERNAL = 500  # from this status on the fault is on this side, and the log tells where

EngineRun = Callable[[dict[str, Any], Job], Any]
"""Takes a job's input, gives what the reply says. Raises to fail, ``JobCanceled`` to stop."""
OpenProgress = Callable[[str], ProgressSender]
"""Job id → the sender of its progress, made on the event loop."""


class WorkerLeaving(EngineError):
    """This process must be replaced and takes no more jobs."""

    refresh_worker = True

    def __init__(self) -> None:
        super().__init__("this worker is being replaced after a device error; send the job again")


@dataclass(frozen=True, eq=False)
class Running:
    """A job whose work has begun; a second delivery of its id waits for the same work, unless that was given up."""

    job: Job
    progress: ProgressSender | None
    reply: asyncio.Task[Any]


class Adapter:
    """``answer`` is the SDK's handler. Without ``open_progress`` nobody listens, and no previews are made.

    ``webhooks`` tells clients the ends of jobs that want it; the slot's thread is free meanwhile.

    After an error that the process cannot survive, every further job is refused, ``refresh_worker`` is asked for again,
    and no more jobs are taken.
    """

    def __init__(
        self,
        engine_run: EngineRun,
        settings: Settings,
        taking: Taking,
        webhooks: Webhooks,
        *,
        open_progress: OpenProgress | None = None,
    ) -> None:
        self._engine_run = engine_run
        self._settings = settings
        self._taking = taking
        self._webhooks = webhooks
        self._open_progress = open_progress
        self._threads = ThreadPoolExecutor(max_workers=settings.slots, thread_name_prefix="job")
        self._running: dict[str, Running] = {}
        self._broken = threading.Event()

    async def answer(self, delivered: dict[str, Any]) -> Any:
        """What the SDK posts for the job as the platform ``delivered`` it. Raises nothing but its own cancellation."""
        self._taking.begin()
        try:
            reply = await self._shared(delivered)
        except Exception as error:
            log.exception("a job failed outside the engine")
            reply = failure(error)
        return dict(reply) if isinstance(reply, dict) else reply  # the SDK takes keys out of what it gets

    async def _shared(self, delivered: dict[str, Any]) -> Any:
        while (running := self._running.get(str(delivered["id"]))) and running.job.canceled:
            await asyncio.wait([running.reply])  # given up before this delivery came, which is to be run
        running = running or self._begin(delivered)
        try:
            return await asyncio.shield(running.reply)
        except asyncio.CancelledError:
            running.job.cancel()
            if running.progress is not None:
                running.progress.stop()
            await _let_go(running.reply)
            raise

    def _begin(self, delivered: dict[str, Any]) -> Running:
        job_id, given = str(delivered["id"]), delivered.get("input")  # a job of a batch may lack it
        progress = self._open_progress(job_id) if self._open_progress else None
        job = self._job(delivered, progress)
        work = asyncio.create_task(self._work(job, progress, {} if given is None else given))
        work.add_done_callback(lambda done: self._running.pop(job_id))
        running = self._running[job_id] = Running(job, progress, work)
        return running

    def _job(self, delivered: dict[str, Any], progress: ProgressSender | None) -> Job:
        job_id, settings = str(delivered["id"]), self._settings
        interval = max(settings.preview_interval_s, settings.progress_interval_s)
        wanted = progress is not None and settings.preview
        sink = progress.sink if progress is not None else _unheard
        previews = interval if wanted else None
        delivery = Delivery(delivered.get("s3Config"), size_limit(job_id))
        return Job(job_id, sink, preview_interval_s=previews, delivery=delivery)

    async def _work(self, job: Job, progress: ProgressSender | None, given: Any) -> Any:
        reply = await asyncio.get_running_loop().run_in_executor(self._threads, self._reply, given, job)
        if progress is not None:
            await progress.close()
        if job.webhook_url and job.canceled:
            self._webhooks.tell_of_cancel(job)
        elif job.webhook_url:
            reply = await self._webhooks.told(job, reply)
        if job.canceled:  # for every delivery of it: nothing is posted for a job that was given up
            raise asyncio.CancelledError
        return reply

    def _reply(self, given: Any, job: Job) -> Any:
        """The thread of a job."""
        try:
            if self._broken.is_set():
                raise WorkerLeaving
            job.check()
            reply = checked_reply(self._engine_run(given, job), job.id)
            job.finish()
            return reply
        except JobCanceled as stop:
            job.emit(Canceled())
            return failure(stop)
        except Exception as error:
            _tell(error, job)
            if needs_new_worker(error):
                self._broken.set()
                self._taking.leave()
            return failure(error)


def _unheard(event: Event) -> None:
    """Where nobody listens."""


def _tell(error: Exception, job: Job) -> None:
    if isinstance(error, EngineError):
        log.warning("job %s failed: %s", job.id, error.type, exc_info=error.status >= INTERNAL)
        job.emit(Failed(str(error)))
    else:
        log.exception("job %s failed unexpectedly", job.id)
        job.emit(Failed(str(reply_fields(error)["detail"])))


async def _let_go(work: asyncio.Future[Any]) -> None:
    """Wait until the thread has ended, also when cancelled again meanwhile: it still holds the device."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work])
