"""The desk: takes jobs, knows what became of them, gives them up, forgets them.

The one place where ledger, platform, pictures and webhooks meet. Speaks of orders and entries; knows no HTTP request
and no reply.
"""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from fooocus_engine.errors import EngineError, QueueFull
from fooocus_engine.jobs.record import JobRecord, JobStage
from fooocus_engine.jobs.webhook import Message, end_of_job
from fooocus_engine.shim.clerk import Clerk
from fooocus_engine.shim.entries import Entry, Part
from fooocus_engine.shim.follower import Follower, OpenJob, now_ms
from fooocus_engine.shim.gallery import Gallery
from fooocus_engine.shim.ledger import Ledger, Page
from fooocus_engine.shim.orders import Order
from fooocus_engine.shim.outbox import Outbox
from fooocus_engine.shim.pace import Pace
from fooocus_engine.shim.payload import Packer
from fooocus_engine.shim.platform import JobGone, Platform, PlatformJob
from fooocus_engine.shim.recent import Recent
from fooocus_engine.shim.settings import ShimSettings
from fooocus_engine.shim.submission import Submission

log = logging.getLogger(__name__)

JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
REMEMBERED = 1000  # ended jobs that are asked about without the database
ADOPTED = "Text to Image"  # type of a job that somebody else submitted, unless its output tells


class JobNotFinished(EngineError):
    """An open job cannot be deleted."""

    status = 409
    type = "not_finished"


@dataclass(frozen=True)
class Archive:
    """Where things are kept."""

    ledger: Ledger
    clerk: Clerk
    gallery: Gallery
    outbox: Outbox


class Desk:
    """Belongs to one event loop. ``start`` it first; ``close`` it last."""

    def __init__(
        self, platform: Platform, archive: Archive, packer: Packer, settings: ShimSettings, *, pace: Pace
    ) -> None:
        self._platform = platform
        self._archive = archive
        self._submission = Submission(platform, packer, settings)
        self._settings = settings
        self._follower = Follower(platform, archive.gallery, self._note, pace=pace)
        self._reserved = 0
        self._adopting = asyncio.Lock()
        self._last_id: str | None = None
        self._recent = Recent(REMEMBERED)
        self._ended_count = 0

    async def start(self) -> None:
        """Take up the jobs that were open when the last process ended."""
        archive = self._archive
        await archive.outbox.load()
        self._last_id = await archive.clerk(archive.ledger.last_id)
        self._ended_count = await archive.clerk(archive.ledger.count_ended)
        for entry in await archive.clerk(archive.ledger.open):
            await self._follower.follow(entry)

    def let_go(self) -> None:
        """Nobody is to wait any longer: the process is about to end."""
        self._submission.close()
        self._follower.let_go()

    @property
    def closing(self) -> bool:
        """Whether ``let_go`` was called."""
        return self._follower.closing

    async def close(self) -> None:
        """Stop following; the ledger keeps what is open."""
        await self._follower.close()

    async def submit(self, order: Order) -> OpenJob:
        """Hand an order to the platform and note it.

        Raises:
            QueueFull: too many jobs are open here, or the platform takes no more.
            EngineError: the platform did not take it.
        """
        if len(self._follower.open) + self._reserved >= self._settings.queue_size:
            raise QueueFull(f"{self._settings.queue_size} jobs are open already")
        self._reserved += 1
        try:
            jobs = await self._submission.sent(order)
            return await self._noted(order, jobs)
        finally:
            self._reserved -= 1

    async def ended(self, job: OpenJob, timeout_s: float) -> Entry:
        """The job when it has ended, or as it is after that time.

        Raises:
            DoorCloses: the process ends before the job.
        """
        return await self._follower.wait(job, timeout_s)

    async def find(self, job_id: str, *, wait_s: float = 0) -> OpenJob | None:
        """The job of that id, as fresh as the platform allows; with ``wait_s``, its end if that comes within.

        A job that somebody else submitted to the endpoint is taken over.
        """
        if not JOB_ID.fullmatch(job_id):
            return None
        job = self._follower.open.get(job_id)
        if job is not None:
            await self._follower.freshen(job)
        elif (known := await self._known(job_id)) is not None:
            return OpenJob(known)
        else:
            job = await self._adopted(job_id)
        if job is not None and wait_s:
            await self._follower.wait(job, wait_s)
        return job

    def watched(self, job: OpenJob) -> AbstractContextManager[None]:
        """Meanwhile the job is looked at more often."""
        return self._follower.watched(job)

    def open(self) -> list[Entry]:
        """All open jobs in order of submission."""
        return [job.entry for job in self._follower.open.values()]

    @property
    def last_id(self) -> str | None:
        """The job submitted last."""
        return self._last_id

    @property
    def ended_count(self) -> int:
        """How many ended jobs are kept."""
        return self._ended_count

    async def ended_jobs(self, page: Page) -> list[Entry]:
        """Jobs that have ended, in order of completion."""
        return await self._archive.clerk(self._archive.ledger.ended, page)

    async def stop(self, job_id: str | None, *, waiting_too: bool) -> None:
        """Give up the running jobs, with ``waiting_too`` all, or with ``job_id`` that one. Failures are logged."""
        jobs = [job for id, job in list(self._follower.open.items()) if job_id in (None, id)]
        await asyncio.gather(*(self._stop(job, sure=waiting_too or job_id is not None) for job in jobs))

    async def delete(self, job_id: str) -> bool:
        """Forget an ended job and its pictures; whether there was one.

        Raises:
            JobNotFinished: it is still open.
        """
        if job_id in self._follower.open:
            raise JobNotFinished("Job is not finished")
        entry = await self._known(job_id)
        if entry is not None:
            await self._forget([entry])
        return entry is not None

    async def _tidy_up(self) -> None:
        """The same where a job has just ended, whose end is no matter of old files that cannot be removed."""
        try:
            await self.tidy()
        except Exception:
            log.exception("jobs beyond the limits of the history are still there")

    async def tidy(self) -> None:
        """Forget the jobs that are beyond the limits of the history."""
        settings = self._settings
        if settings.queue_history or settings.history_ttl_s:
            before = now_ms() - settings.history_ttl_s * 1000 if settings.history_ttl_s else None
            keep = settings.queue_history or None
            ledger = self._archive.ledger
            await self._forget(await self._archive.clerk(ledger.outdated, keep=keep, before_ms=before))

    async def _noted(self, order: Order, jobs: list[PlatformJob]) -> OpenJob:
        job_id = jobs[0].id if len(jobs) == 1 else str(uuid.uuid4())
        record = JobRecord(job_id, order.job_type, now_ms())
        entry = Entry(record, tuple(Part(job.id) for job in jobs), order.told)
        try:
            await self._archive.clerk(self._archive.ledger.add, entry)
        except Exception:
            await self._submission.take_back(jobs)
            raise
        self._last_id = job_id
        log.info("job %s: %s, %d open", job_id, order.job_type, len(self._follower.open) + 1)
        return await self._follower.follow(entry, jobs[0] if len(jobs) == 1 else None)

    async def _adopted(self, job_id: str) -> OpenJob | None:
        """A job of the endpoint that this door did not submit, nor ever knew."""
        archive = self._archive
        async with self._adopting:
            if job_id in self._follower.open:
                return self._follower.open[job_id]
            if await archive.clerk(archive.ledger.knows, job_id):
                known = await self._known(job_id)
                return OpenJob(known) if known else None
            try:
                status = await self._platform.status(job_id)
            except JobGone:
                return None
            except EngineError as error:
                log.info("job %s: unknown here, and the platform tells nothing: %s", job_id, error)
                return None
            told = status.output if isinstance(status.output, dict) else {}
            record = JobRecord(job_id, str(told.get("job_type") or ADOPTED), now_ms())
            entry = Entry(record, (Part(job_id),), {})
            await archive.clerk(archive.ledger.add, entry)
            return await self._follower.follow(entry, status)

    async def _stop(self, job: OpenJob, *, sure: bool) -> None:
        if not sure:
            await self._follower.look(job)
        if job.entry.ended or not (sure or job.entry.record.stage is JobStage.RUNNING):
            return
        for part in job.entry.parts:
            if not part.done:
                await self._platform.give_up(part.id)
        await self._follower.look(job)

    async def _known(self, job_id: str) -> Entry | None:
        """An ended job of the ledger."""
        entry = self._recent.find(job_id) or await self._archive.clerk(self._archive.ledger.find, job_id)
        if entry is not None and entry.ended:
            self._recent.note(entry)
        return entry

    async def _note(self, entry: Entry) -> None:
        message = self._message(entry) if entry.ended else None
        await self._archive.clerk(self._archive.ledger.change, entry, message)
        if message is not None:
            self._archive.outbox.put(message)
        if entry.ended:
            self._recent.note(entry)
            self._ended_count += 1
            await self._tidy_up()

    def _message(self, entry: Entry) -> Message | None:
        """What tells of an ended job, if anybody wants to know: one message, however often its end is written."""
        url = entry.request.get("webhook_url") or (self._settings.webhook_url if entry.request else "")
        if not url:
            return None
        pictures = entry.pictures if entry.record.stage is JobStage.SUCCESS else ()
        return end_of_job(entry.id, url, [(self._archive.gallery.address(shown), shown.seed) for shown in pictures])

    async def _forget(self, entries: list[Entry]) -> None:
        pictures = [picture for entry in entries for picture in entry.pictures]
        if not entries:
            return
        ids = [entry.id for entry in entries]
        self._ended_count -= await self._archive.clerk(self._archive.ledger.delete, ids)
        self._recent.forget(ids)
        await asyncio.to_thread(self._archive.gallery.delete, pictures)


async def every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do ``work`` again and again; what goes wrong is logged."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await work()
        except Exception:
            log.exception("tidying goes on after an error")
