"""How many requests of a kind the platform takes: in a time, and at once (platform.md §6.2)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.refusals import TooManyRequests


class Rates:
    """``clock`` tells seconds that only grow. Operations that are not named are not limited."""

    def __init__(self, clock: Callable[[], float], allowed: Mapping[str, tuple[int, int]]) -> None:
        self._clock = clock
        self._allowed = allowed
        self._times: dict[str, deque[float]] = {operation: deque() for operation in allowed}
        self._now = dict.fromkeys(allowed, 0)

    @contextmanager
    def admitted(self, operation: str) -> Iterator[None]:
        """A request of this kind, while it lasts.

        Raises:
            TooManyRequests: there are too many.
        """
        if operation not in self._allowed:
            yield
            return
        self._admit(operation)
        self._now[operation] += 1
        try:
            yield
        finally:
            self._now[operation] -= 1

    def _admit(self, operation: str) -> None:
        in_window, at_once = self._allowed[operation]
        times, now = self._times[operation], self._clock()
        while times and times[0] <= now - limits.RATE_WINDOW_S:
            times.popleft()
        if len(times) >= in_window:
            raise TooManyRequests(f"more than {in_window} {operation} requests in {limits.RATE_WINDOW_S:g} s")
        if self._now[operation] >= at_once:
            raise TooManyRequests(f"more than {at_once} {operation} requests at a time")
        times.append(now)
