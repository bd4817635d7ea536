"""The queue as its routes and its workers' keeper see it: the store, and everybody who waits for a change of it.

What must outlive the process is in the store. Here is what may be forgotten with it: who waits, the last progress of
each running job, and which jobs each worker still has to be told to stop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from fooocus_engine.local_platform import json_text, limits
from fooocus_engine.local_platform.bells import Bells
from fooocus_engine.local_platform.database import Clock
from fooocus_engine.local_platform.delivery import Final, Progress
from fooocus_engine.local_platform.job import PlatformJob, State
from fooocus_engine.local_platform.reply import status_text
from fooocus_engine.local_platform.roster import Roster
from fooocus_engine.local_platform.store import Change, Store, Tally
from fooocus_engine.local_platform.submission import read_submission

log = logging.getLogger(__name__)

QUEUE = "queue"  # topics of the bells
OUTBOX = "outbox"
CLOSED = "closed"
PAUSE_MS = 5000  # a tick that comes later than this was slept through: the machine or this process stood still


class Platform:
    """One endpoint's queue. All methods run on the event loop's thread; only those that wait are coroutines."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        hold_s: float = limits.HOLD_S,
    ) -> None:
        """``hold_s`` is how long a worker's poll is held when there is nothing for it."""
        self.store = store
        self.roster = Roster(monotonic)
        self.bells = Bells()
        self._clock = clock
        self._hold_s = hold_s
        self._progress: dict[str, str] = {}
        self._stops: dict[str, set[str]] = {}
        self._ticked_ms = clock()
        self._closed = False

    # For clients

    def submit(self, raw: bytes, *, synchronous: bool) -> PlatformJob:
        """Accept a job: from now on it survives everything but its own limits.

        Raises:
            BadRequest: the body is not acceptable.
        """
        submission = read_submission(raw, synchronous=synchronous, now_ms=self._clock())
        self.store.submit(submission)
        self.bells.ring(QUEUE)
        return submission.job

    def status(self, id: str) -> str:
        """What is known of a job, as JSON text.

        Raises:
            NotFound: there is no such job.
        """
        job = self.store.find(id)
        if job.ended:
            return status_text(job, *self.store.result(id))
        return status_text(job, self._progress.get(id))

    async def until_ended(self, id: str, wait_s: float) -> PlatformJob:
        """The job when it has ended, or as it is after the time or when the platform closes.

        Raises:
            NotFound: there is no such job (any more).
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        while not (job := self.store.find(id)).ended and (left := until - loop.time()) > 0 and not self._closed:
            await self.bells.heard(f"job {id}", CLOSED, timeout_s=left)
        return job

    def cancel(self, id: str) -> PlatformJob:
        """Give a job up; one that has ended stays as it is.

        Raises:
            NotFound: there is no such job.
        """
        change = self.store.cancel(id)
        self._announce([change] if change else [])
        return self.store.find(id)

    def retry(self, id: str) -> None:
        """Queue a failed job once more.

        Raises:
            NotFound: there is no such job.
            BadRequest: it did not fail.
        """
        self._announce([self.store.retry(id)])

    def purge(self) -> int:
        """Give up every waiting job; how many there were."""
        changes = self.store.purge()
        self._announce(changes)
        return len(changes)

    def health(self) -> str:
        """Counts of jobs and workers, as JSON text."""
        jobs = {
            "completed": self.store.tally(Tally.COMPLETED),
            "failed": self.store.tally(Tally.FAILED),
            "inProgress": self.store.count(State.IN_PROGRESS),
            "inQueue": self.store.count(State.IN_QUEUE),
            "retried": self.store.tally(Tally.RETRIED),
        }
        return json_text.write({"jobs": jobs, "workers": self.roster.counts(self.store.holders())})

    # For workers

    async def take(self, worker: str, most: int) -> list[str]:
        """Up to ``most`` jobs as soon as there are any; none after a while, or at once for a worker that is let go."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._hold_s
        self.roster.hear(worker)
        rung: str | None = QUEUE
        while rung is not None and not self._lets_go(worker):
            if self.roster.serves(worker) and (jobs := self.store.take(worker, most)):
                # It may have had one of them before, and not yet have heard that it was taken away.
                self._stops.get(worker, set()).difference_update(jobs)
                return list(jobs.values())
            rung = await self.bells.heard(QUEUE, f"let go {worker}", CLOSED, timeout_s=until - loop.time())
        return []

    async def stops(self, worker: str) -> list[str]:
        """The jobs that a worker is to stop, as soon as there are any, or none as in ``take``."""
        self.roster.hear(worker)
        if not self._stops.get(worker) and not self._lets_go(worker):
            await self.bells.heard(f"stops {worker}", f"let go {worker}", CLOSED, timeout_s=self._hold_s)
        return sorted(self._stops.pop(worker, ()))

    def deliver(self, worker: str, id: str, delivery: Progress | Final) -> bool:
        """Take over what a worker says of a job; false if that job is not (or no longer) its own.

        Raises:
            NotFound: there is no such job.
        """
        if isinstance(delivery, Progress):
            held = self.store.find(id).held_by(worker)
            if held:
                self._progress[id] = delivery.output
            return held
        if delivery.stop_worker:
            self.dismiss(worker)
        change = self.store.finish(worker, id, delivery.ending)
        if change:
            self._wake(change)
        return change is not None

    def ping(self, worker: str, ids: list[str]) -> None:
        """A worker is alive and works on these jobs; it is told to stop those that are not its own."""
        self.roster.hear(worker)
        for id in self.store.renew(worker, ids) if ids else ():
            self._stop(worker, id)

    # For those who keep workers and time

    def dismiss(self, worker: str) -> None:
        """Give a worker no more jobs, and tell its keeper."""
        self.roster.leave(worker)
        self.bells.ring(f"dismissed {worker}")

    async def dismissed(self, worker: str) -> None:
        """Return when this worker has been dismissed."""
        while self.roster.serves(worker):
            await self.bells.heard(f"dismissed {worker}", timeout_s=None)

    def let_go(self, worker: str) -> None:
        """Answer the polls of a worker, those that it still begins too: it waits for them in order to end."""
        self.roster.release(worker)
        self.bells.ring(f"let go {worker}")

    def lose(self, worker: str, *, expected: bool) -> None:
        """A worker's process has ended: its jobs go back, as a failed attempt unless the end was ``expected``."""
        self.roster.lose(worker)
        self._announce(self.store.release(worker, lost=not expected))
        self._stops.pop(worker, None)
        self.bells.ring(f"let go {worker}")

    def close(self) -> None:
        """Answer everybody who waits, and from now on let nobody wait: the process is about to end."""
        self._closed = True
        self.bells.ring(CLOSED)

    def resume(self, prefix: str) -> None:
        """Go on with what an earlier process left: the workers it started, named so, ended with it."""
        self._announce(self.store.resume(prefix))

    def tick(self) -> None:
        """Do what time demands; to be called about once a second."""
        now_ms = self._clock()
        if now_ms - self._ticked_ms > PAUSE_MS:
            self.store.renew_all()
        self._ticked_ms = now_ms
        self._announce(self.store.expire())

    def _lets_go(self, worker: str) -> bool:
        return self._closed or self.roster.released(worker)

    def _announce(self, changes: Iterable[Change]) -> None:
        """Wake those who wait for these changes, and stop the workers whose jobs were taken away."""
        for change in changes:
            self._wake(change)
            if change.before.worker and change.before.state is State.IN_PROGRESS:
                self._stop(change.before.worker, change.before.id)
                log.info("job %s is taken from worker %s", change.before.id, change.before.worker)

    def _wake(self, change: Change) -> None:
        self._progress.pop(change.before.id, None)
        if change.after is not None and not change.after.ended:
            self.bells.ring(QUEUE)
            return
        self.bells.ring(f"job {change.before.id}")
        self.bells.ring(OUTBOX)

    def _stop(self, worker: str, id: str) -> None:
        self._stops.setdefault(worker, set()).add(id)
        self.bells.ring(f"stops {worker}")
