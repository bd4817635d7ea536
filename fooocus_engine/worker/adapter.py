"""Between the SDK's event loop and the engine: each job on a thread of its own, cancelled by a flag, answered always.

The SDK stops a job by cancelling its asyncio task (platform.md §2.7); a thread cannot be stopped from outside, so
the cancellation becomes ``job.cancel()``, the thread is waited for, and only then the cancellation goes on.
The engine and the sink of events are handed in; the SDK is not imported.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from fooocus_engine.errors import EngineError, JobCanceled, reply_fields
from fooocus_engine.jobs.events import Canceled, Failed, Sink
from fooocus_engine.jobs.job import Job
from fooocus_engine.settings import Settings
from fooocus_engine.worker.reply import checked_reply, failure, needs_new_worker

log = logging.getLogger(__name__)

INTERNAL = 500  # from this status on the fault is on this side, and the log tells where

EngineRun = Callable[[dict[str, Any], Job], Any]
"""Takes a job's input, gives what the reply says. Raises to fail, ``JobCanceled`` to stop."""
Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class WorkerLeaving(EngineError):
    """This process must be replaced and takes no more jobs."""

    refresh_worker = True

    def __init__(self) -> None:
        super().__init__("this worker is being replaced after a device error; send the job again")


def make_handler(
    engine_run: EngineRun, settings: Settings, *, sink_for: Callable[[dict[str, Any]], Sink] | None = None
) -> Handler:
    """The coroutine function that the SDK calls with each job; returns what it posts.

    ``sink_for`` makes the listener of one job from the platform's job; without one nobody listens, and no previews are
    made. After an error that the process cannot survive, every further job is refused and ``refresh_worker`` is asked
    for again.
    """
    threads = ThreadPoolExecutor(max_workers=settings.slots, thread_name_prefix="job")
    leaving = threading.Event()

    def answer(given: dict[str, Any], job: Job) -> Any:
        try:
            if leaving.is_set():
                raise WorkerLeaving
            job.check()
            reply = checked_reply(engine_run(given, job), job.id)
            job.finish()
            return reply
        except JobCanceled as stop:
            job.emit(Canceled())
            return failure(stop)
        except Exception as error:
            _tell(error, job)
            if needs_new_worker(error):
                leaving.set()
            return failure(error)

    async def handler(job: dict[str, Any]) -> Any:
        running = _started(job, settings, sink_for)
        given = job.get("input")  # batches may lack it (platform.md §2.2); the engine says what is missing
        work = asyncio.get_running_loop().run_in_executor(threads, answer, given if given is not None else {}, running)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            running.cancel()
            await _let_go(work)
            raise

    return handler


def concurrency_modifier(settings: Settings) -> Callable[[int], int]:
    """What the SDK asks for the number of jobs to take at a time: always the slots of the settings."""
    return lambda current: settings.slots


def _started(job: dict[str, Any], settings: Settings, sink_for: Callable[[dict[str, Any]], Sink] | None) -> Job:
    s3_config = job.get("s3Config")
    if sink_for is None:
        return Job(str(job["id"]), lambda event: None, preview_interval_s=None, s3_config=s3_config)
    interval = settings.preview_interval_s if settings.preview else None
    return Job(str(job["id"]), sink_for(job), preview_interval_s=interval, s3_config=s3_config)


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
