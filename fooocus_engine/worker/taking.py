"""How many jobs the SDK may hold: asked before every fetch, as its ``concurrency_modifier``.

Usually the slots of the settings. What the SDK lacks is done here, where it asks (docs/decisions/0013): after SIGTERM
no fetch begins and the process ends once nothing is in hand; a platform that answers at once is not asked a thousand
times a second. Numbers are handed in; the SDK is not imported.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)
FETCH_S = 0.25  # least time between two fetches that brought nothing
FAST_FETCHES = 20  # of them in a row, while a job runs, until no second one is fetched ahead


class Taking:
    """``in_hand`` tells how many jobs the SDK has taken and not finished, those that still wait for a handler included.

    ``signals`` are those that end the process; their handlers are set at the first question, over the SDK's.
    """

    def __init__(
        self,
        slots: int,
        in_hand: Callable[[], int],
        *,
        signals: tuple[signal.Signals, ...] = SIGNALS,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._slots = slots
        self._in_hand = in_hand
        self._signals = signals
        self._clock = clock
        self._pause = pause
        self._begun: set[asyncio.Task[Any]] = set()
        self._leaving = False
        self._asked_at = float("-inf")
        self._fast = 0

    def begin(self) -> None:
        """The handler was called: the SDK's task, which is the current one, lives until the result is posted."""
        task = asyncio.current_task()
        if task is not None:
            self._begun.add(task)
            task.add_done_callback(self._begun.discard)

    @property
    def leaving(self) -> bool:
        """Whether the process ends as soon as nothing is in hand."""
        return self._leaving

    def leave(self) -> None:
        """Fetch no more; end the process when nothing is in hand."""
        self._leaving = True

    def __call__(self, current: int) -> int:
        """How many jobs may be in hand; 0 begins no fetch. The loop that asks is ended if the worker can leave."""
        self._listen()
        in_hand, begun = self._in_hand(), len(self._begun)
        if in_hand > begun:  # one waits for the SDK to begin it, which a lower number would prevent for ever
            self._fast = 0
            return self._slots
        if self._leaving:
            if not begun:
                log.info("nothing is in hand: leaving")
                asyncio.get_running_loop().call_soon(sys.exit, 0)  # ends the SDK's tasks, its poll for stops included
            return 0
        return begun if self._too_fast(idle=not begun) else self._slots

    def _listen(self) -> None:
        for number in self._signals:
            if signal.getsignal(number) != self._signaled:
                signal.signal(number, self._signaled)

    def _signaled(self, number: int, frame: FrameType | None) -> None:
        log.info("signal %d: no more jobs are taken", number)
        self.leave()

    def _too_fast(self, *, idle: bool) -> bool:
        """Whether the fetches come back at once. An idle worker, whose loop nobody waits for, pauses here instead."""
        since = self._clock() - self._asked_at
        self._fast = self._fast + 1 if since < FETCH_S else 0
        if idle and since < FETCH_S:
            self._pause(FETCH_S - since)
        self._asked_at = self._clock()
        return not idle and self._fast > FAST_FETCHES
