"""One job of the queue and every change it can undergo, as values. Knows nothing of storage, HTTP or clocks.

    IN_QUEUE ──taken──► IN_PROGRESS ──ended──► COMPLETED · FAILED · TIMED_OUT · CANCELLED
        ▲                    │                     │
        └──returned, lost────┘                     │ (FAILED and TIMED_OUT only)
        └───────────────────retried────────────────┘

All times are milliseconds of the wall clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.refusals import BadRequest


class State(StrEnum):
    """The platform's words (platform.md §6.1)."""

    IN_QUEUE = "IN_QUEUE"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMED_OUT = "TIMED_OUT"


OPEN = (State.IN_QUEUE, State.IN_PROGRESS)
RETRIABLE = (State.FAILED, State.TIMED_OUT)


@dataclass(frozen=True)
class PlatformJob:
    """A row of the queue, without what may be large: request and result lie beside it."""

    id: str
    synchronous: bool
    """Asked for by runsync: larger payloads, and a result that is kept for a shorter time."""
    queued_ms: int
    """When it was submitted, or last retried by its client; the queue is in this order."""
    vanish_ms: int
    """From then on nobody is told that it existed."""
    ttl_ms: int = limits.TTL_MS
    """How long it may exist after it was submitted, or last retried by its client."""
    execution_timeout_ms: int = limits.EXECUTION_TIMEOUT_MS
    webhook: str | None = None
    state: State = State.IN_QUEUE
    worker: str | None = None
    """Who has it, or has finished it."""
    started_ms: int | None = None
    """When the last attempt began."""
    finished_ms: int | None = None
    lease_ms: int | None = None
    """Until then the worker is believed to have it."""
    retries: int = 0
    """How often a worker was lost with it."""

    @property
    def ended(self) -> bool:
        return self.state not in OPEN

    @property
    def delay_ms(self) -> int | None:
        """How long it waited for its last attempt."""
        return None if self.started_ms is None else max(0, self.started_ms - self.queued_ms)

    @property
    def execution_ms(self) -> int | None:
        """How long its last attempt took."""
        if self.started_ms is None or self.finished_ms is None:
            return None
        return max(0, self.finished_ms - self.started_ms)

    def held_by(self, worker: str) -> bool:
        """Whether this worker works on it now."""
        return self.state is State.IN_PROGRESS and self.worker == worker

    def wanted_from(self, worker: str) -> bool:
        """Whether this worker may still have it in hand: it works on it, or has just ended it itself."""
        return self.worker == worker and self.state in (State.IN_PROGRESS, State.COMPLETED, State.FAILED)

    def taken(self, worker: str, now_ms: int) -> PlatformJob:
        """Handed to a worker."""
        assert self.state is State.IN_QUEUE
        lease_ms = now_ms + limits.LEASE_MS
        return replace(self, state=State.IN_PROGRESS, worker=worker, started_ms=now_ms, lease_ms=lease_ms)

    def renewed(self, now_ms: int) -> PlatformJob:
        """Its worker has given a sign of it."""
        assert self.state is State.IN_PROGRESS
        return replace(self, lease_ms=now_ms + limits.LEASE_MS)

    def returned(self) -> PlatformJob:
        """Back in its place of the queue, through no fault of its own."""
        assert self.state is State.IN_PROGRESS
        return replace(self, state=State.IN_QUEUE, worker=None, started_ms=None, lease_ms=None)

    def lost(self, now_ms: int) -> PlatformJob:
        """Its worker died with it: back in the queue as a retry, or failed when it has had its retries."""
        if self.retries >= limits.MAX_RETRIES:
            return replace(self.finished(State.FAILED, now_ms), worker=None)
        return replace(self.returned(), retries=self.retries + 1)

    def finished(self, state: State, now_ms: int) -> PlatformJob:
        """Ended in ``state``; from now on kept as long as a result of its kind is."""
        assert not self.ended
        assert state not in OPEN
        keep_ms = limits.KEEP_RUNSYNC_MS if self.synchronous else limits.KEEP_RUN_MS
        vanish_ms = min(self.vanish_ms, now_ms + keep_ms)
        return replace(self, state=state, finished_ms=now_ms, lease_ms=None, vanish_ms=vanish_ms)

    def retried(self, now_ms: int) -> PlatformJob:
        """Submitted once more by its client, under the same id.

        Raises:
            BadRequest: it is in another state than FAILED or TIMED_OUT.
        """
        if self.state not in RETRIABLE:
            raise BadRequest(f"the job is {self.state}; only {' and '.join(RETRIABLE)} jobs can be retried")
        return PlatformJob(
            id=self.id,
            synchronous=self.synchronous,
            queued_ms=now_ms,
            vanish_ms=now_ms + self.ttl_ms,
            ttl_ms=self.ttl_ms,
            execution_timeout_ms=self.execution_timeout_ms,
            webhook=self.webhook,
        )
