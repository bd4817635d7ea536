"""The webhooks that wait to be sent: in memory, and behind that in the ledger's database.

Messages to one address go one after the other, in order of completion: the next is due when the one before it has been
delivered or given up. Every change is written in order; one that a crash loses costs a repeat of the same id.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from fooocus_engine.jobs.daemon_threads import DaemonThreads
from fooocus_engine.jobs.webhook import Courier, Message, Post, Rules
from fooocus_engine.shim.clerk import Clerk
from fooocus_engine.shim.messages import Messages

log = logging.getLogger(__name__)

THREADS = 8  # addresses that are posted to at a time
LAST_S = 2.0  # for deliveries under way when the process ends; others are repeated by the next one


@dataclass
class _Waiting:
    message: Message
    due_at: float
    claimed: bool = False


class Outbox:
    """Messages in order of completion. Used on the event loop alone."""

    def __init__(self, messages: Messages, clerk: Clerk, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._messages = messages
        self._clerk = clerk
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._news = asyncio.Event()
        self._writes: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        """Take up what was waiting when the last process ended."""
        self._waiting += [_Waiting(message, self._clock()) for message in await self._clerk(self._messages.waiting)]

    def put(self, message: Message) -> None:
        """Send ``message`` after all that are here; it is in the database already."""
        self._waiting.append(_Waiting(message, self._clock()))
        self._news.set()

    def claim(self, claim_s: float) -> list[Message]:
        """The first message to each address, if it is due. Claimed ones stay claimed while this process lives."""
        now, seen, due = self._clock(), set(), []
        for waiting in self._waiting:
            if waiting.message.url not in seen and not waiting.claimed and waiting.due_at <= now:
                waiting.claimed = True
                waiting.message = replace(waiting.message, tries=waiting.message.tries + 1)
                due.append(waiting.message)
                self._write(self._messages.tried, waiting.message)
            seen.add(waiting.message.url)
        return due

    def settle(self, message: Message) -> None:
        """It is delivered."""
        self._forget(message)
        self._write(self._messages.forget, message)

    def bury(self, message: Message, why: str) -> None:
        """It never will be; kept as a dead letter."""
        self._forget(message)
        self._write(self._messages.bury, message, why)

    def postpone(self, message: Message, wait_s: float) -> None:
        """Try again after ``wait_s``."""
        for waiting in self._waiting:
            if waiting.message.id == message.id:
                waiting.claimed, waiting.due_at = False, self._clock() + wait_s
        self._news.set()

    async def due(self) -> None:
        """Return when a message may be claimed."""
        while True:
            self._news.clear()
            heads = {waiting.message.url: waiting for waiting in reversed(self._waiting)}
            times = [waiting.due_at for waiting in heads.values() if not waiting.claimed]
            pause = min(times) - self._clock() if times else None
            if pause is not None and pause <= 0:
                return
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                return

    async def written(self) -> None:
        """Return when every change is in the database."""
        while self._writes:
            await asyncio.gather(*self._writes, return_exceptions=True)

    def _forget(self, message: Message) -> None:
        self._waiting = [waiting for waiting in self._waiting if waiting.message.id != message.id]
        self._news.set()

    def _write(self, work: Callable[..., None], *given: object) -> None:
        task = asyncio.create_task(self._clerk(work, *given))
        self._writes.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writes.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a webhook's state was not stored; it may be sent again: %s", error)


@dataclass(frozen=True)
class Carriage:
    """How messages go: by what, by which rules, signed with which secret."""

    post: Post
    rules: Rules
    secret: str | None


async def deliver(outbox: Outbox, by: Carriage) -> None:
    """Send what is due, for ever. An address that is slow keeps no other one waiting."""
    sending: set[asyncio.Task[None]] = set()
    threads = DaemonThreads(THREADS)  # a post that hangs is repeated by the next process
    courier = Courier(outbox, by.post, by.rules, threads, by.secret)
    try:
        while True:
            await outbox.due()
            task = asyncio.create_task(courier.deliver_due())
            sending.add(task)
            task.add_done_callback(sending.discard)
            await asyncio.sleep(0)  # the task claims before it waits
    finally:
        if sending:
            await asyncio.wait(sending, timeout=LAST_S)
        for task in sending:
            task.cancel()
