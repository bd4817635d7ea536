"""The file of the queue: SQLite in WAL mode, every commit on disk before it is answered, one process at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from fooocus_engine.errors import EngineError

VERSION = 1  # of the tables
FILE = "local_platform.sqlite3"
LOCK = "local_platform.lock"
# What may be large lies beside the row that changes often: SQLite rewrites a whole row at each change.
TABLES = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    synchronous INTEGER NOT NULL,
    queued_ms INTEGER NOT NULL,
    vanish_ms INTEGER NOT NULL,
    ttl_ms INTEGER NOT NULL,
    execution_timeout_ms INTEGER NOT NULL,
    webhook TEXT,
    state TEXT NOT NULL,
    worker TEXT,
    started_ms INTEGER,
    finished_ms INTEGER,
    lease_ms INTEGER,
    retries INTEGER NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state, queued_ms, seq);
CREATE INDEX jobs_by_end ON jobs (vanish_ms);
CREATE TABLE requests (id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE, handed TEXT NOT NULL);
CREATE TABLE results (id TEXT PRIMARY KEY REFERENCES jobs (id) ON DELETE CASCADE, output TEXT, error TEXT);
CREATE TABLE chunks (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    output TEXT NOT NULL
);
CREATE INDEX chunks_by_job ON chunks (id);
CREATE TABLE outbox (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    body TEXT NOT NULL,
    tries INTEGER NOT NULL,
    due_ms INTEGER NOT NULL
);
CREATE TABLE tally (name TEXT PRIMARY KEY, number INTEGER NOT NULL);
"""

Clock = Callable[[], int]
"""Milliseconds of the wall clock: what is stored must mean something to the next process."""


class StateUnusable(EngineError):
    """The state folder is in use by another process, or written by another version."""


def wall_clock_ms() -> int:
    """The time as it is stored."""
    return time.time_ns() // 1_000_000


class Database:
    """The open file. Used by one thread. Readable by its owner alone: requests hold keys of storages."""

    def __init__(self, folder: Path) -> None:
        """Open or create the queue in ``folder``.

        Raises:
            StateUnusable: another process has it open, or it is of another version, or no database.
        """
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = _locked(folder / LOCK)
        path = folder / FILE
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        try:
            self._prepare()
        except (StateUnusable, sqlite3.DatabaseError) as error:
            self.close()
            raise StateUnusable(f"{FILE} cannot be used: {error}") from error

    def _prepare(self) -> None:
        for setting in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {setting}")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
        elif version != VERSION:
            raise StateUnusable(f"it holds tables of version {version}; this program reads {VERSION}")

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """What a statement gives."""
        return self._connection.execute(sql, values).fetchall()

    def run(self, sql: str, *values: object) -> int:
        """Do a statement inside ``changing``; how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    @contextmanager
    def changing(self) -> Iterator[None]:
        """All statements inside become durable together, or, when one fails, none."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file and let other processes have it."""
        self._connection.close()
        self._lock.close()


def _locked(path: Path) -> IO[str]:
    """The lock of the folder, held until the file is closed or the process ends in whatever way."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StateUnusable(f"{path.parent} is in use by another local platform") from None
    return file
