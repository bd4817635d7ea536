"""Which workers there are: those that were started here, and those that have called lately. Kept in memory alone."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass

from fooocus_engine.local_platform import limits

FORGOTTEN_S = limits.LEASE_MS / 1000  # a worker from elsewhere that is silent for so long is not counted any more


@dataclass
class _Seen:
    heard_s: float | None = None
    unhealthy: bool = False
    leaving: bool = False
    released: bool = False
    gone: bool = False


class Roster:
    """``clock`` tells seconds that only grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def start(self, worker: str) -> None:
        """A process has been started under this name; it is loading until it is heard."""
        self._seen[worker] = _Seen()

    def hear(self, worker: str) -> None:
        """It has called."""
        seen = self._seen.setdefault(worker, _Seen())
        seen.heard_s = self._clock()
        seen.unhealthy = False

    def doubt(self, worker: str) -> None:
        """It has called itself unhealthy."""
        self._seen.setdefault(worker, _Seen()).unhealthy = True

    def leave(self, worker: str) -> None:
        """It is to get no more jobs."""
        self._seen.setdefault(worker, _Seen()).leaving = True

    def release(self, worker: str) -> None:
        """It has been told to end, and is not kept waiting any more."""
        self._seen.setdefault(worker, _Seen()).released = True

    def released(self, worker: str) -> bool:
        """Whether that is so."""
        return worker in self._seen and self._seen[worker].released

    def lose(self, worker: str) -> None:
        """Its process has ended; whatever still comes in its name is late."""
        self._seen[worker] = _Seen(leaving=True, gone=True)

    def serves(self, worker: str) -> bool:
        """Whether it may be given jobs."""
        return not self._seen[worker].leaving if worker in self._seen else True

    def counts(self, holders: Set[str]) -> dict[str, int]:
        """The six numbers of ``health``; ``holders`` have jobs."""
        present = {worker: seen for worker, seen in self._seen.items() if self._present(worker, seen, holders)}
        unhealthy = {worker for worker, seen in present.items() if seen.unhealthy}
        loading = {worker for worker, seen in present.items() if seen.heard_s is None} - unhealthy
        ready = present.keys() - unhealthy - loading
        return {
            "idle": len(ready - holders),
            "initializing": len(loading),
            "ready": len(ready),
            "running": len(ready & holders),
            "throttled": 0,
            "unhealthy": len(unhealthy),
        }

    def _present(self, worker: str, seen: _Seen, holders: Set[str]) -> bool:
        if seen.gone:
            return False
        silent = seen.heard_s is not None and self._clock() - seen.heard_s > FORGOTTEN_S
        return worker in holders or not silent
