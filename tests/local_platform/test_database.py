"""The file of the queue."""

import sqlite3
from contextlib import closing

import pytest

from fooocus_engine.local_platform.database import FILE, Database, StateUnusable, wall_clock_ms


def test_only_one_process_at_a_time_has_the_file(tmp_path):
    with closing(Database(tmp_path)), pytest.raises(StateUnusable, match="in use by another local platform"):
        Database(tmp_path)
    Database(tmp_path).close()


def test_a_file_of_another_version_is_refused(tmp_path):
    Database(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("PRAGMA user_version = 9")
    with pytest.raises(StateUnusable, match="version 9"):
        Database(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"no database " * 100)
    with pytest.raises(StateUnusable, match="cannot be used"):
        Database(tmp_path)


def test_the_file_is_its_owners_alone(tmp_path):
    folder = tmp_path / "state"
    Database(folder).close()
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / FILE).stat().st_mode & 0o077 == 0


def test_commits_are_on_disk_before_they_return(tmp_path):
    with closing(Database(tmp_path)) as database:
        assert database.rows("PRAGMA journal_mode")[0][0] == "wal"
        assert database.rows("PRAGMA synchronous")[0][0] == 2  # FULL


def test_a_change_that_raises_is_undone(tmp_path):
    with closing(Database(tmp_path)) as database:
        with pytest.raises(ZeroDivisionError), database.changing():
            database.run("INSERT INTO tally VALUES ('a', 1)")
            raise ZeroDivisionError
        assert database.rows("SELECT * FROM tally") == []


def test_the_clock_counts_milliseconds_of_this_century():
    assert 1_600_000_000_000 < wall_clock_ms() < 4_000_000_000_000
