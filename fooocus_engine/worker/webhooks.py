"""Tells the end of a job to an address of its client, where the job wants that of the worker itself (api.md §6.8).

Tries and waits are those of every client's webhook (``jobs/webhook.py``). Nothing is kept: what has not arrived when
the job's reply is due, never will.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fooocus_engine.jobs.daemon_threads import DaemonThreads
from fooocus_engine.jobs.job import Job
from fooocus_engine.jobs.webhook import CLIENT_RULES, Courier, Message, Post, Rules, end_of_job

log = logging.getLogger(__name__)

THREADS = 16  # posts at a time: one for each slot there can be
POLL_S = 0.05  # how often who waits looks whether that is of use
LAST_S = 2.0  # for a message under way when the worker leaves
NOT_IN_TIME = "it did not arrive before this worker left"


@dataclass(eq=False)
class _Letter:
    """An ``Outbox`` of one message."""

    message: Message
    wait_s: float | None = 0.0
    """Until the next try; ``None``: there is none."""
    failure: str | None = None

    def claim(self, claim_s: float) -> list[Message]:
        self.message = replace(self.message, tries=self.message.tries + 1)
        return [self.message]

    def settle(self, message: Message) -> None:
        self.wait_s = None

    def bury(self, message: Message, why: str) -> None:
        self.wait_s, self.failure = None, why

    def postpone(self, message: Message, wait_s: float) -> None:
        self.wait_s = wait_s


class Webhooks:
    """Used on the event loop alone; the posts block threads that no ending process waits for."""

    def __init__(
        self, post: Post, leaving: Callable[[], bool], *, secret: str | None = None, rules: Rules = CLIENT_RULES
    ) -> None:
        """``leaving`` says whether the process is about to end: then there is one more try, and little time."""
        self._post, self._leaving, self._secret, self._rules = post, leaving, secret, rules
        self._threads = DaemonThreads(THREADS)
        self._unheeded: set[asyncio.Task[None]] = set()

    async def told(self, job: Job, reply: Any) -> Any:
        """``reply`` to ``job`` after the client was told of it, with a warning if it was not.

        Returns early when the job is given up; then nothing more is sent.
        """
        succeeded = "error" not in reply
        pictures = [(entry["url"], entry["seed"]) for entry in reply["job_result"]] if succeeded else []
        why = await self._delivered(end_of_job(job.id, job.webhook_url, pictures), job)
        if why is None or not succeeded:
            return reply
        return {**reply, "warnings": [*reply["warnings"], f"webhook_url was not told: {why}"]}

    def tell_of_cancel(self, job: Job) -> None:
        """Tell the client that ``job`` was given up, while nobody waits for it."""
        task = asyncio.create_task(self._carry(_Letter(end_of_job(job.id, job.webhook_url, []))))
        self._unheeded.add(task)
        task.add_done_callback(self._unheeded.discard)

    async def _delivered(self, message: Message, job: Job) -> str | None:
        """Why ``message`` did not arrive, if it did not."""
        letter, left_s = _Letter(message), LAST_S
        carrying = asyncio.create_task(self._carry(letter))
        while not carrying.done() and not job.canceled and left_s > 0:
            await asyncio.wait([carrying], timeout=POLL_S)
            left_s -= POLL_S if self._leaving() else 0
        if carrying.done():
            return letter.failure
        carrying.cancel()
        return NOT_IN_TIME

    async def _carry(self, letter: _Letter) -> None:
        courier = Courier(letter, self._post, self._rules, self._threads, self._secret)
        try:
            while letter.wait_s is not None:
                await asyncio.sleep(letter.wait_s)
                await courier.deliver_due()
        except Exception:
            log.exception("webhook %s failed unexpectedly", letter.message.id)
            letter.failure = "of an internal error"
