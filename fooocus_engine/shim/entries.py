"""One line of the ledger: a job as clients know it, and the platform's jobs that it is made of.

Mostly there is one of the latter, under the same id; a request whose pictures are spread over several has as many.
Frozen values; every change gives a new one. Knows neither the platform's words nor the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fooocus_engine.jobs.record import JobRecord

COMPLETE = 100  # percent


@dataclass(frozen=True)
class Picture:
    """A finished picture: a file of this door, or an address elsewhere."""

    seed: str
    file: str | None = None
    """``{date}/{name}`` below the folder of pictures."""
    url: str | None = None


@dataclass(frozen=True)
class Part:
    """A job of the platform. ``pictures`` is ``None`` until they are stored."""

    id: str
    percent: int = 0
    start_ms: int | None = None
    finish_ms: int | None = None
    pictures: tuple[Picture, ...] | None = None

    @property
    def done(self) -> bool:
        return self.pictures is not None


@dataclass(frozen=True)
class Entry:
    """A job with its parts, in the order of their pictures."""

    record: JobRecord
    parts: tuple[Part, ...]
    request: Mapping[str, Any]
    """What was asked for, with every default, without pictures."""

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def ended(self) -> bool:
        return self.record.ended

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All that are stored, in order."""
        return tuple(picture for part in self.parts for picture in part.pictures or ())

    def working(self, part: Part, text: str, at_ms: int) -> Entry:
        """A part was seen at work; the whole is as far as its parts are on average."""
        known = self._with(part)
        mean = sum(COMPLETE if p.done else p.percent for p in known.parts) // len(known.parts)
        return replace(known, record=known.record.running(part.start_ms or at_ms, mean, text))

    def done(self, part: Part, at_ms: int) -> Entry:
        """A part is done and stored; with the last one the whole has ended."""
        known = self._with(part)
        if not all(p.done for p in known.parts):
            return known.working(part, known.record.status or "", at_ms)
        return replace(known, record=known._timed(known.record.succeeded(at_ms, ())), request=known._resolved())

    def failed(self, part: Part, cause: str, at_ms: int) -> Entry:
        """A part failed, and with it the whole."""
        known = self._with(part)
        return replace(known, record=known._timed(known.record.failed(at_ms, cause)))

    def canceled(self, part: Part, at_ms: int) -> Entry:
        """A part was given up, and with it the whole."""
        known = self._with(part)
        return replace(known, record=known._timed(known.record.cancelled(at_ms)))

    def _timed(self, ended: JobRecord) -> JobRecord:
        """An ended record with the times that are known of the parts; what is not known is when it was seen."""
        starts = [p.start_ms for p in self.parts if p.start_ms is not None]
        ends = [p.finish_ms for p in self.parts if p.finish_ms is not None]
        seen_ms = ended.finish_ms or 0
        return ended.timed(min(starts, default=ended.start_ms or seen_ms), max(ends, default=seen_ms))

    def _with(self, part: Part) -> Entry:
        return replace(self, parts=tuple(part if p.id == part.id else p for p in self.parts))

    def _resolved(self) -> Mapping[str, Any]:
        """The request with the seed that was drawn for its first picture."""
        seed = next((p.seed for p in self.pictures if p.seed.isdecimal()), None)
        return self.request if seed is None else {**self.request, "image_seed": int(seed)}
