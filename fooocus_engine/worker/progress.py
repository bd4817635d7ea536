"""One sender of progress per job: in order, at a limited rate, over before the result is returned.

The SDK's own ``progress_update`` keeps no order and can overtake the result, which re-opens a finished job on the
platform (platform.md §2.6). Events come from the job's threads; the line that carries updates is handed in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Protocol

from fooocus_engine.jobs.events import Event
from fooocus_engine.worker.update import Update, Updates

log = logging.getLogger(__name__)

PHASE_GAP_S = 0.25  # between a post and that of a new phase, which need not wait for the interval (platform.md §2.6)
RETRY_S = 1.0  # between two tries on a line that is down
PATIENCE_S = 60.0  # how long a finished job waits for such a line


class LineDown(Exception):
    """The platform was not reached, or asks to come later. Trying again may help."""


class Posting(Protocol):
    """Carries the updates of one job."""

    async def post(self, update: Update) -> None:
        """Send, and wait until it arrived.

        Raises:
            LineDown: it did not arrive.
        """

    async def close(self) -> None:
        """Nothing more will be sent."""


class ProgressSender:
    """Made on the event loop, which posts; ``sink`` may be called from any thread.

    ``interval_s`` is the least time from the answer to one update until the next is sent. A phase waits for at most
    0.25 s of it. What comes meanwhile replaces what was waiting.
    """

    def __init__(self, line: Posting, interval_s: float) -> None:
        self._line = line
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._updates = Updates(lambda: time.time_ns() // 1_000_000)
        self._changed = asyncio.Event()
        self._answered_at: float | None = None
        self._down = False
        self._closed_at: float | None = None
        self._sending = self._loop.create_task(self._send())

    def sink(self, event: Event) -> None:
        """Take note of an event of the job; returns at once."""
        self._loop.call_soon_threadsafe(self._hear, event)

    async def close(self) -> None:
        """Wait for the update that is on its way; one that still waits is dropped, as the result says more.

        The SDK gives up a result whose one attempt meets a broken connection (docs/decisions/0012). So while the last
        update could not be delivered, it is tried again for up to a minute: the result is not posted on a line that
        is known to be down.
        """
        self._closed_at = self._loop.time()
        self._changed.set()
        await asyncio.wait([self._sending])
        if not self._sending.cancelled() and (error := self._sending.exception()) is not None:
            log.error("progress ended early", exc_info=error)
        await self._line.close()

    def stop(self) -> None:
        """Send nothing more, not even the rest of what is on its way: the job was canceled. ``close`` follows."""
        self._sending.cancel()

    def _hear(self, event: Event) -> None:
        self._updates.hear(event)
        self._changed.set()

    async def _send(self) -> None:
        while await self._due():
            update = self._updates.take()
            try:
                await self._line.post(update)
                self._down = False
            except LineDown as error:
                log.warning("progress was not delivered: %s", error)
                self._down = True
                self._updates.put_back(update)
            self._answered_at = self._loop.time()

    async def _due(self) -> bool:
        """Wait until something may be sent; false when nothing will be any more."""
        while not self._over():
            rest = self._rest_s()
            if rest is not None and rest <= 0:
                return True
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest):
                    await self._changed.wait()
        return False

    def _over(self) -> bool:
        if self._closed_at is None:
            return False
        return not self._down or self._loop.time() - self._closed_at >= PATIENCE_S

    def _rest_s(self) -> float | None:
        """How long the waiting update has to wait yet; ``None`` while there is none."""
        if not self._updates.pending:
            return None
        if self._answered_at is None:
            return 0.0
        gap = self._interval_s
        if self._down:
            gap = RETRY_S if self._closed_at is not None else max(gap, RETRY_S)
        elif self._updates.urgent:
            gap = min(gap, PHASE_GAP_S)
        return self._answered_at + gap - self._loop.time()
