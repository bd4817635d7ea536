"""The ledger: which jobs this door knows, in a database. Blocks; ``clerk.py`` keeps it off the event loop.

An ended job and the message that tells of it are written in one transaction. Deleted jobs leave their id behind, so
that the platform, which remembers them for a while, cannot bring them back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine, RowMapping, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from fooocus_engine.jobs.record import FinishReason, JobRecord, JobStage
from fooocus_engine.jobs.webhook import Message
from fooocus_engine.shim.entries import Entry, Part, Picture
from fooocus_engine.shim.tables import JOBS, MESSAGES

OPEN = (JobStage.WAITING.value, JobStage.RUNNING.value)


@dataclass(frozen=True)
class Page:
    """Which of the ended jobs: all without a ``size``."""

    number: int = 0
    size: int | None = None
    newest_first: bool = False
    job_id: str | None = None


class Ledger:
    """The jobs in one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, entry: Entry) -> None:
        """Note a new job, the last one submitted."""
        with self._engine.begin() as connection:
            connection.execute(insert(JOBS).values(id=entry.id, deleted=False, **_columns(entry)))

    def change(self, entry: Entry, message: Message | None = None) -> None:
        """Note an open job as it is now, and with it the message that is to be sent. An end that is noted stays."""
        with self._engine.begin() as connection:
            known = (JOBS.c.id == entry.id, JOBS.c.stage.in_(OPEN))
            found = connection.execute(update(JOBS).where(*known).values(**_columns(entry))).rowcount
            if message is not None and found:
                row = {"id": message.id, "job_id": entry.id, "url": message.url, "body": message.body.decode()}
                connection.execute(insert(MESSAGES).values(tries=0, dead=False, **row))

    def find(self, job_id: str) -> Entry | None:
        """The job of that id, unless it was deleted."""
        found = self._entries(JOBS.c.id == job_id, JOBS.c.deleted.is_(False))
        return found[0] if found else None

    def knows(self, job_id: str) -> bool:
        """Whether the id was ever noted, deleted jobs included."""
        with self._engine.connect() as connection:
            return connection.execute(select(JOBS.c.number).where(JOBS.c.id == job_id)).first() is not None

    def open(self) -> list[Entry]:
        """All that have not ended, in order of submission."""
        return self._entries(JOBS.c.stage.in_(OPEN), JOBS.c.deleted.is_(False))

    def ended(self, page: Page) -> list[Entry]:
        """Ended jobs in order of completion."""
        wanted = list(_ENDED)
        if page.job_id is not None:
            wanted.append(JOBS.c.id == page.job_id)
        order = [JOBS.c.finish_ms, JOBS.c.number]
        query = select(JOBS).where(*wanted).order_by(*(c.desc() if page.newest_first else c.asc() for c in order))
        if page.size is not None:
            query = query.limit(page.size).offset(page.number * page.size)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]

    def count_ended(self) -> int:
        with self._engine.connect() as connection:
            return connection.execute(select(func.count()).select_from(JOBS).where(*_ENDED)).scalar_one()

    def last_id(self) -> str | None:
        """The job submitted last, if it is still kept or only its id is."""
        query = select(JOBS.c.id).order_by(JOBS.c.number.desc()).limit(1)
        with self._engine.connect() as connection:
            return connection.execute(query).scalar_one_or_none()

    def outdated(self, *, keep: int | None, before_ms: int | None) -> list[Entry]:
        """Ended jobs beyond the newest ``keep``, and those that ended before ``before_ms``."""
        found: dict[str, Entry] = {}
        if keep is not None and (surplus := self.count_ended() - keep) > 0:
            found |= {entry.id: entry for entry in self.ended(Page(size=surplus))}
        if before_ms is not None:
            found |= {entry.id: entry for entry in self._entries(*_ENDED, JOBS.c.finish_ms < before_ms)}
        return list(found.values())

    def delete(self, job_ids: Iterable[str]) -> int:
        """Forget ended jobs; their ids stay. Gives how many were there still."""
        emptied = {"deleted": True, "parts": "[]", "request": "{}", "status": None}
        with self._engine.begin() as connection:
            wanted = (JOBS.c.id.in_(list(job_ids)), JOBS.c.deleted.is_(False))
            return connection.execute(update(JOBS).where(*wanted).values(**emptied)).rowcount

    def _entries(self, *wanted: ColumnElement[bool]) -> list[Entry]:
        query = select(JOBS).where(*wanted).order_by(JOBS.c.number)
        with self._engine.connect() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]


_ENDED: Sequence[ColumnElement[bool]] = (JOBS.c.stage.not_in(OPEN), JOBS.c.deleted.is_(False))


def _columns(entry: Entry) -> dict[str, Any]:
    record = entry.record
    return {
        "type": record.job_type,
        "stage": record.stage.value,
        "progress": record.progress,
        "status": record.status,
        "finish_reason": record.finish_reason and record.finish_reason.value,
        "in_queue_ms": record.in_queue_ms,
        "start_ms": record.start_ms,
        "finish_ms": record.finish_ms,
        "parts": json.dumps([asdict(part) for part in entry.parts]),
        "request": json.dumps(entry.request),
    }


def _entry(row: RowMapping) -> Entry:
    record = JobRecord(
        id=row["id"],
        job_type=row["type"],
        in_queue_ms=row["in_queue_ms"],
        stage=JobStage(row["stage"]),
        progress=row["progress"],
        status=row["status"],
        start_ms=row["start_ms"],
        finish_ms=row["finish_ms"],
        finish_reason=FinishReason(row["finish_reason"]) if row["finish_reason"] else None,
    )
    return Entry(record, tuple(_part(part) for part in json.loads(row["parts"])), json.loads(row["request"]))


def _part(fields: dict[str, Any]) -> Part:
    pictures = fields.pop("pictures")
    return Part(**fields, pictures=None if pictures is None else tuple(Picture(**picture) for picture in pictures))
