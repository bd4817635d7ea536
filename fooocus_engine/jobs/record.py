"""What a door knows of one job, from its submission to its end: a small state machine of frozen values.

    WAITING ──► RUNNING ──► SUCCESS
       └───────────┴──────► ERROR

The states and numbers are those a client sees (api.md §4.3, §6.6). An end never changes; progress never falls.
Knows nothing of pictures, of the platform's own states or of where records are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from fooocus_engine.jobs.job import LAST_RUNNING


class JobStage(StrEnum):
    """Where a job is; the values are the client's words."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    ERROR = "ERROR"


class FinishReason(StrEnum):
    """Why a job ended; the values are the client's words."""

    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    USER_CANCEL = "USER_CANCEL"


@dataclass(frozen=True)
class JobRecord:
    """One job. Every change gives a new record; on an ended one every change gives the record itself.

    Times are milliseconds of the wall clock.
    """

    id: str
    job_type: str
    in_queue_ms: int
    stage: JobStage = JobStage.WAITING
    progress: int = 0
    status: str | None = None
    start_ms: int | None = None
    finish_ms: int | None = None
    finish_reason: FinishReason | None = None
    result: tuple[dict[str, Any], ...] = ()

    @property
    def ended(self) -> bool:
        return self.stage in (JobStage.SUCCESS, JobStage.ERROR)

    def running(self, at_ms: int, progress: int, status: str) -> JobRecord:
        """It runs: seen first at ``at_ms``, now at ``progress`` percent (never below what was seen before)."""
        if self.ended:
            return self
        percent = max(self.progress, min(progress, LAST_RUNNING))
        start_ms = self.start_ms if self.start_ms is not None else at_ms
        return replace(self, stage=JobStage.RUNNING, progress=percent, status=status, start_ms=start_ms)

    def succeeded(self, at_ms: int, result: tuple[dict[str, Any], ...]) -> JobRecord:
        """It ended well."""
        if self.ended:
            return self
        good = replace(self, progress=100, status="Finished", result=result)
        return replace(good, stage=JobStage.SUCCESS, finish_reason=FinishReason.SUCCESS, finish_ms=at_ms)

    def failed(self, at_ms: int, cause: str) -> JobRecord:
        """It ended with an error; ``cause`` may be shown to clients."""
        return self._given_up(at_ms, FinishReason.ERROR, f"Error: {cause}")

    def cancelled(self, at_ms: int) -> JobRecord:
        """Its client gave it up."""
        return self._given_up(at_ms, FinishReason.USER_CANCEL, "Cancelled")

    def timed(self, start_ms: int, finish_ms: int) -> JobRecord:
        """The same record with the times that the platform tells."""
        return replace(self, start_ms=start_ms, finish_ms=finish_ms)

    def _given_up(self, at_ms: int, reason: FinishReason, status: str) -> JobRecord:
        if self.ended:
            return self
        return replace(self, stage=JobStage.ERROR, finish_reason=reason, finish_ms=at_ms, status=status)
