"""How often the platform is asked about jobs: the pauses of one job, and a budget for all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

GROWTH = 1.5  # of the pause between two looks while somebody waits


@dataclass(frozen=True)
class Pace:
    """Seconds (api.md §6.5, §6.6)."""

    watched_s: float = 0.2
    """First pause while somebody waits for the end; grows to ``young_s``."""
    young_s: float = 1.0
    old_s: float = 5.0
    old_from_s: float = 60.0
    fresh_s: float = 0.3
    """What was learned so recently is not asked again."""
    patience_s: float = 1.0
    """Longest time that a question of a client waits for the platform; then it hears what was known."""
    rate: float = 50.0
    """Looks a second, over all jobs."""


class Budget:
    """At most ``rate`` takings a second on average, and no more than that at once."""

    def __init__(self, rate: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._left = rate
        self._counted_at = clock()

    def take(self) -> bool:
        """Whether one more is allowed now; if so it is taken."""
        self._count()
        if self._left < 1:
            return False
        self._left -= 1
        return True

    async def wait(self) -> None:
        """Take one as soon as it is allowed."""
        while not self.take():
            await asyncio.sleep((1 - self._left) / self._rate)

    def rest(self, seconds: float) -> None:
        """Allow nothing for a while: the platform asked for it."""
        self._count()
        self._left = min(self._left, 1 - seconds * self._rate)

    def _count(self) -> None:
        now = self._clock()
        self._left = min(self._rate, self._left + (now - self._counted_at) * self._rate)
        self._counted_at = now
