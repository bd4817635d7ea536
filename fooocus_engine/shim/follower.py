"""Follows every open job on the platform until its end is stored, whether anybody asks or not (api.md §6.6).

Takes entries of the ledger that have not ended; gives ``OpenJob``s to look at and to wait for. Whatever the platform
answers, or fails to, a job stays open until an end is known; an end is written once and never changes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from fooocus_engine.errors import EngineError, QueueFull
from fooocus_engine.jobs.record import FinishReason
from fooocus_engine.shim.entries import Entry, Part
from fooocus_engine.shim.gallery import Gallery
from fooocus_engine.shim.pace import GROWTH, Budget, Pace
from fooocus_engine.shim.platform import JobGone, Platform, PlatformJob
from fooocus_engine.shim.reading import Canceled, Done, Failed, Failure, Waiting, Working, lost, read

log = logging.getLogger(__name__)

EXPIRED = "result expired"
REST_S = 5.0  # after the platform said that it is asked too often (platform.md §4.3)
Note = Callable[[Entry], Awaitable[None]]
"""Writes into the ledger what a job is now. Raises if that fails; then it is tried again."""


class DoorCloses(EngineError):
    """This process ends; the job goes on."""

    status = 503
    type = "closing"


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(eq=False)
class OpenJob:
    """A job that has not ended, or has just done so. Belongs to the event loop; only the follower changes it."""

    entry: Entry
    preview: str | None = None
    """Base64 of the last one, while the job is open."""
    failure: Failure | None = None
    """Set when it has failed."""
    pause_s: float = 0.0
    looked_at: float = float("-inf")
    update: int = -1
    """Number of the last progress update that was taken."""

    def __post_init__(self) -> None:
        self.changed = asyncio.Event()
        self.wanted = asyncio.Event()
        self.looking = asyncio.Lock()
        self.watchers = 0


class Follower:
    """``note`` is called once for every part that is done and every job that ends, before anybody hears of it."""

    def __init__(self, platform: Platform, gallery: Gallery, note: Note, *, pace: Pace) -> None:
        self._platform = platform
        self._gallery = gallery
        self._note = note
        self._pace = pace
        self._clock = time.monotonic
        self._budget = Budget(pace.rate, self._clock)
        self._tasks: set[asyncio.Task[None]] = set()
        self.closing = False
        self.open: dict[str, OpenJob] = {}
        """In order of submission."""

    async def follow(self, entry: Entry, first: PlatformJob | None = None) -> OpenJob:
        """Begin to follow a job; ``first`` is what the platform said of its only part already."""
        job = self.open[entry.id] = OpenJob(entry)
        if first is not None:
            async with job.looking:
                await self._take(job, entry.parts[0], first)
        if not job.entry.ended:
            self._spawn(self._follow(job))
        return job

    async def freshen(self, job: OpenJob) -> None:
        """Look at the platform, unless that was just done or too much is asked already; waits a moment at most."""
        if self._is_fresh(job) or job.looking.locked() or not self._budget.take():
            return
        await asyncio.wait([self._spawn(self.look(job))], timeout=self._pace.patience_s)

    async def wait(self, job: OpenJob, timeout_s: float) -> Entry:
        """The job when it has ended, or as it is after ``timeout_s`` seconds. Meanwhile it is looked at more often.

        Raises:
            DoorCloses: the process ends before the job.
        """
        with self.watched(job):
            try:
                async with asyncio.timeout(timeout_s):
                    while not job.entry.ended and not self.closing:
                        await job.changed.wait()
            except TimeoutError:
                log.debug("job %s is still open after %.1f s", job.entry.id, timeout_s)
        if self.closing and not job.entry.ended:
            raise DoorCloses("the server is stopping; the job goes on")
        return job.entry

    @contextmanager
    def watched(self, job: OpenJob) -> Iterator[None]:
        """Meanwhile the job is looked at more often."""
        job.watchers += 1
        job.pause_s = self._pace.watched_s
        job.wanted.set()
        try:
            yield
        finally:
            job.watchers -= 1

    async def look(self, job: OpenJob) -> None:
        """Ask the platform about every part that is not done, and take what it says.

        What goes wrong is logged: the job goes on, and its end is stored at a later look.
        """
        try:
            await self._look(job)
        except Exception:  # the database or the disk
            log.exception("job %s: following goes on after an error", job.entry.id)

    async def _look(self, job: OpenJob) -> None:
        async with job.looking:
            for part in job.entry.parts:
                if part.done or job.entry.ended:
                    continue
                try:
                    await self._take(job, part, await self._platform.status(part.id))
                except JobGone:
                    await self._fail(job, part, lost(EXPIRED).failure)
                except QueueFull as error:
                    log.warning("job %s: %s", job.entry.id, error)
                    self._budget.rest(REST_S)
                except EngineError as error:
                    log.warning("job %s: nothing learned: %s", job.entry.id, error)
            job.looked_at = self._clock()

    async def _take(self, job: OpenJob, part: Part, status: PlatformJob) -> None:
        """Carry into the job what a status reply says of one of its parts. One at a time: ``job.looking`` is held."""
        part = _timed(part, status, job.entry.record.in_queue_ms)
        match read(status):
            case Waiting():
                return
            case Working() as update:
                self._progress(job, part, update)
            case Done(output):
                await self._keep(job, part, output)
            case Canceled():
                await self._end(job, job.entry.canceled(part, now_ms()))
            case Failed(failure):
                await self._fail(job, part, failure)

    def let_go(self) -> None:
        """Nobody is to wait any longer: the process is about to end."""
        self.closing = True
        for job in self.open.values():
            self._announce(job, job.entry)

    async def close(self) -> None:
        """Stop following; nothing is lost, the ledger knows what is open."""
        self.let_go()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _follow(self, job: OpenJob) -> None:
        while not job.entry.ended:
            await self._rest(job)
            if job.entry.ended or self._is_fresh(job):
                continue
            await self._budget.wait()
            await self.look(job)

    async def _rest(self, job: OpenJob) -> None:
        """Until the job is due again, or somebody begins to wait for it."""
        pace, age_s = self._pace, (now_ms() - job.entry.record.in_queue_ms) / 1000
        if job.watchers:
            pause = job.pause_s
            job.pause_s = min(job.pause_s * GROWTH, pace.young_s)
        else:
            pause = pace.young_s if age_s < pace.old_from_s else pace.old_s
        try:
            async with asyncio.timeout(pause):
                await job.wanted.wait()
        except TimeoutError:
            return
        job.wanted.clear()

    def _is_fresh(self, job: OpenJob) -> bool:
        return self._clock() - job.looked_at < min(self._pace.fresh_s, job.pause_s or self._pace.fresh_s)

    def _progress(self, job: OpenJob, part: Part, update: Working) -> None:
        if update.number is not None and len(job.entry.parts) == 1:
            if update.number < job.update:
                return
            job.update = update.number
        job.preview = update.preview or job.preview
        self._announce(
            job, job.entry.working(replace(part, percent=max(part.percent, update.percent)), update.text, now_ms())
        )

    async def _keep(self, job: OpenJob, part: Part, output: object) -> None:
        try:
            pictures = await self._gallery.keep(output, part_id=part.id, job_id=job.entry.id)
        except EngineError as error:
            log.exception("job %s: its pictures are lost", job.entry.id)
            await self._fail(job, part, lost(error.message).failure)
            return
        entry = job.entry.done(replace(part, pictures=pictures), now_ms())
        if entry.ended:
            await self._end(job, entry)
        else:
            await self._note(entry)
            self._announce(job, entry)

    async def _fail(self, job: OpenJob, part: Part, failure: Failure) -> None:
        await self._end(job, job.entry.failed(part, failure.cause, now_ms()), failure)

    async def _end(self, job: OpenJob, entry: Entry, failure: Failure | None = None) -> None:
        await self._note(entry)
        self.open.pop(entry.id, None)
        job.failure, job.preview = failure, None
        log.info("job %s: %s", entry.id, entry.record.status)
        self._announce(job, entry)
        await self._give_up_rest(entry)

    async def _give_up_rest(self, entry: Entry) -> None:
        """Of a job that failed or was given up: the parts that may still run."""
        if entry.record.finish_reason is not FinishReason.SUCCESS and len(entry.parts) > 1:
            for part in entry.parts:
                if not part.done:
                    await self._platform.give_up(part.id)

    def _announce(self, job: OpenJob, entry: Entry) -> None:
        job.entry = entry
        job.changed.set()
        job.changed = asyncio.Event()


def _timed(part: Part, status: PlatformJob, queued_ms: int) -> Part:
    """The part with the times that the platform tells, as far as it tells them (api.md §6.6)."""
    start = part.start_ms if status.delay_ms is None else queued_ms + status.delay_ms
    finish = None if status.execution_ms is None or start is None else start + status.execution_ms
    return replace(part, start_ms=start, finish_ms=finish)
