"""The durable queue: every method is one change of the file, finished when it returns.

Decides nothing that ``job.py`` can decide, and wakes nobody: it returns what has changed to the one who does.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from sqlite3 import Row

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.database import Clock, Database
from fooocus_engine.local_platform.job import PlatformJob, State
from fooocus_engine.local_platform.outbox import StoredOutbox
from fooocus_engine.local_platform.refusals import unknown_job
from fooocus_engine.local_platform.reply import webhook_body
from fooocus_engine.local_platform.submission import Submission

COLUMNS = tuple(field.name for field in fields(PlatformJob))
SELECT = f"SELECT {', '.join(COLUMNS)} FROM jobs WHERE"
SAVE = (
    f"INSERT INTO jobs ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in COLUMNS)}"
)


class Tally(StrEnum):
    """What is counted since the file was made."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"


COUNTED = {State.COMPLETED: Tally.COMPLETED, State.FAILED: Tally.FAILED, State.TIMED_OUT: Tally.FAILED}


@dataclass(frozen=True)
class Change:
    """A job before and after; ``None`` where it no longer exists."""

    before: PlatformJob
    after: PlatformJob | None


@dataclass(frozen=True)
class Ending:
    """How a job ended. ``output`` is JSON text, ``error`` plain text."""

    state: State
    output: str | None = None
    error: str | None = None


class Store:
    """The queue of one database. Expired jobs are as unknown as those that never were."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.outbox = StoredOutbox(database, clock)

    def submit(self, submission: Submission) -> None:
        """Accept a job."""
        with self._database.changing():
            self._save(submission.job)
            self._database.run("INSERT INTO requests VALUES (?, ?)", submission.job.id, submission.handed)

    def find(self, id: str) -> PlatformJob:
        """A job by its id.

        Raises:
            NotFound: there is none, or no more.
        """
        jobs = self._jobs("id = ? AND vanish_ms > ?", id, self._clock())
        if not jobs:
            raise unknown_job()
        return jobs[0]

    def result(self, id: str) -> tuple[str | None, str | None]:
        """Output (JSON text) and error of an ended job."""
        rows = self._database.rows("SELECT output, error FROM results WHERE id = ?", id)
        return (rows[0]["output"], rows[0]["error"]) if rows else (None, None)

    def take(self, worker: str, most: int) -> dict[str, str]:
        """Hand up to ``most`` jobs to a worker, longest waiting first: ids, and the JSON objects it is to be given."""
        now = self._clock()
        waiting = "state = ? AND vanish_ms > ? ORDER BY queued_ms, seq LIMIT ?"
        if not self._jobs(waiting, State.IN_QUEUE, now, 1):
            return {}
        with self._database.changing():
            jobs = self._jobs(waiting, State.IN_QUEUE, now, most)
            for job in jobs:
                self._save(job.taken(worker, now))
        return {job.id: self._handed(job.id) for job in jobs}

    def renew(self, worker: str, ids: list[str]) -> list[str]:
        """A worker says that it works on these; the ids among them that it must stop."""
        jobs = {id: self._jobs("id = ?", id) for id in ids}
        with self._database.changing():
            for found in jobs.values():
                for job in found:
                    if job.held_by(worker):
                        self._save(job.renewed(self._clock()))
        return [id for id, found in jobs.items() if not any(job.wanted_from(worker) for job in found)]

    def finish(self, worker: str, id: str, ending: Ending) -> Change | None:
        """A worker's own end of a job; ``None`` if it does not hold the job (any more).

        Raises:
            NotFound: there is no such job.
        """
        job = self.find(id)
        if not job.held_by(worker):
            return None
        with self._database.changing():
            return self._end(job, ending)

    def cancel(self, id: str) -> Change | None:
        """End a job for its client; ``None`` if it had already ended.

        Raises:
            NotFound: there is no such job.
        """
        job = self.find(id)
        if job.ended:
            return None
        with self._database.changing():
            return self._end(job, Ending(State.CANCELLED))

    def purge(self) -> list[Change]:
        """Cancel every job that waits."""
        with self._database.changing():
            jobs = self._jobs("state = ? AND vanish_ms > ?", State.IN_QUEUE, self._clock())
            return [self._end(job, Ending(State.CANCELLED)) for job in jobs]

    def retry(self, id: str) -> Change:
        """Queue an ended job once more.

        Raises:
            NotFound: there is no such job.
            BadRequest: it did not fail.
        """
        job = self.find(id)
        again = job.retried(self._clock())
        with self._database.changing():
            self._drop_output(id)
            self._save(again)
            self._count(Tally.RETRIED)
        return Change(job, again)

    def expire_at(self, id: str, vanish_ms: int) -> None:
        """Let a job vanish at another time.

        Raises:
            NotFound: there is no such job.
        """
        self.find(id)
        with self._database.changing():
            self._database.run("UPDATE jobs SET vanish_ms = ? WHERE id = ?", vanish_ms, id)

    def release(self, worker: str, *, lost: bool) -> list[Change]:
        """Take back all jobs of a worker that is gone; ``lost`` counts against them, an ordered end does not."""
        jobs = self._jobs("state = ? AND worker = ?", State.IN_PROGRESS, worker)
        if not jobs:
            return []
        with self._database.changing():
            return [self._lose(job) if lost else self._return(job) for job in jobs]

    def resume(self, prefix: str) -> list[Change]:
        """After a pause: take back the jobs of all workers whose names begin so, and believe the others once more."""
        self.renew_all()
        running = self._jobs("state = ?", State.IN_PROGRESS)
        with self._database.changing():
            return [self._return(job) for job in running if str(job.worker).startswith(prefix)]

    def renew_all(self) -> None:
        """Nobody could be heard for a while: that counts against no worker."""
        lease_ms = self._clock() + limits.LEASE_MS
        with self._database.changing():
            self._database.run("UPDATE jobs SET lease_ms = ? WHERE state = ?", lease_ms, State.IN_PROGRESS)

    def expire(self) -> list[Change]:
        """Do what time demands: jobs vanish, time out, or are taken from workers that give no sign of them."""
        now = self._clock()
        gone = "vanish_ms <= ?"
        late = f"state = '{State.IN_PROGRESS}' AND started_ms + execution_timeout_ms <= ?"
        silent = f"state = '{State.IN_PROGRESS}' AND lease_ms <= ?"
        if not any(self._jobs(f"{condition} LIMIT 1", now) for condition in (gone, late, silent)):
            return []
        with self._database.changing():
            changes = [Change(job, None) for job in self._jobs(gone, now)]
            self._database.run(f"DELETE FROM jobs WHERE {gone}", now)
            changes += [self._time_out(job) for job in self._jobs(late, now)]
            return changes + [self._lose(job) for job in self._jobs(silent, now)]

    def add_chunk(self, worker: str, id: str, output: str) -> bool:
        """Keep a streamed chunk (JSON text) until it is fetched; false if the worker does not hold the job.

        Raises:
            NotFound: there is no such job.
        """
        if not self.find(id).held_by(worker):
            return False
        with self._database.changing():
            self._database.run("INSERT INTO chunks (id, output) VALUES (?, ?)", id, output)
        return True

    def fetch_chunks(self, id: str) -> list[str]:
        """The chunks that nobody has fetched yet, in order."""
        if not self._database.rows("SELECT 1 FROM chunks WHERE id = ? LIMIT 1", id):
            return []
        with self._database.changing():
            rows = self._database.rows("SELECT output FROM chunks WHERE id = ? ORDER BY seq", id)
            self._database.run("DELETE FROM chunks WHERE id = ?", id)
        return [row["output"] for row in rows]

    def count(self, state: State) -> int:
        """How many jobs are in a state."""
        (row,) = self._database.rows("SELECT COUNT(*) AS number FROM jobs WHERE state = ?", state)
        return int(row["number"])

    def tally(self, name: Tally) -> int:
        """How often something has happened."""
        rows = self._database.rows("SELECT number FROM tally WHERE name = ?", name)
        return int(rows[0]["number"]) if rows else 0

    def holders(self) -> set[str]:
        """The workers that hold jobs."""
        rows = self._database.rows("SELECT DISTINCT worker FROM jobs WHERE state = ?", State.IN_PROGRESS)
        return {row["worker"] for row in rows}

    # The rest happens inside a change.

    def _jobs(self, where: str, *values: object) -> list[PlatformJob]:
        return [_job(row) for row in self._database.rows(f"{SELECT} {where}", *values)]

    def _save(self, job: PlatformJob) -> None:
        self._database.run(SAVE, *astuple(job))

    def _handed(self, id: str) -> str:
        (row,) = self._database.rows("SELECT handed FROM requests WHERE id = ?", id)
        return str(row["handed"])

    def _end(self, job: PlatformJob, ending: Ending) -> Change:
        ended = job.finished(ending.state, self._clock())
        self._keep(ended, ending)
        return Change(job, ended)

    def _keep(self, ended: PlatformJob, ending: Ending) -> None:
        self._save(ended)
        self._database.run("INSERT INTO results VALUES (?, ?, ?)", ended.id, ending.output, ending.error)
        if ended.state in COUNTED:
            self._count(COUNTED[ended.state])
        if ended.webhook:
            body = webhook_body(ended, ending.output, ending.error, self._handed(ended.id))
            self.outbox.put(ended.webhook, body)

    def _time_out(self, job: PlatformJob) -> Change:
        return self._end(job, Ending(State.TIMED_OUT, error=f"execution timed out after {job.execution_timeout_ms} ms"))

    def _return(self, job: PlatformJob) -> Change:
        self._drop_output(job.id)
        self._save(job.returned())
        return Change(job, job.returned())

    def _lose(self, job: PlatformJob) -> Change:
        lost = job.lost(self._clock())
        if lost.ended:
            self._keep(lost, Ending(lost.state, error=f"job timed out after {job.retries} retries"))
        else:
            self._drop_output(job.id)
            self._save(lost)
            self._count(Tally.RETRIED)
        return Change(job, lost)

    def _drop_output(self, id: str) -> None:
        self._database.run("DELETE FROM results WHERE id = ?", id)
        self._database.run("DELETE FROM chunks WHERE id = ?", id)

    def _count(self, name: Tally) -> None:
        self._database.run("INSERT INTO tally VALUES (?, 1) ON CONFLICT DO UPDATE SET number = number + 1", name)


def _job(row: Row) -> PlatformJob:
    values = dict(row)
    return PlatformJob(**values | {"state": State(values["state"]), "synchronous": bool(values["synchronous"])})
