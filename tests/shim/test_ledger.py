"""The ledger and the waiting webhooks in a database, in memory and in a file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fooocus_engine.jobs.record import FinishReason, JobRecord, JobStage
from fooocus_engine.jobs.webhook import Message
from fooocus_engine.shim.entries import Entry, Part, Picture
from fooocus_engine.shim.ledger import Ledger, Page
from fooocus_engine.shim.messages import Messages
from fooocus_engine.shim.tables import open_database

PICTURES = (Picture("5", "2024-01-01/a-0.png"), Picture("6", url="https://bucket/x"))


@pytest.fixture(params=["memory", "file"])
def engine(request, tmp_path):
    opened = open_database("sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path}/deep/down/x.db")
    yield opened
    opened.dispose()


@pytest.fixture
def ledger(engine):
    return Ledger(engine)


def waiting(job_id, queued=1_000):
    request = {"prompt": "größe \u2028 😀", "webhook_url": None}
    return Entry(JobRecord(job_id, "Text to Image", queued), (Part(job_id),), request)


def done(entry, at_ms):
    return entry.done(replace(entry.parts[0], pictures=PICTURES, start_ms=at_ms - 5, finish_ms=at_ms), at_ms)


def filled(ledger, count):
    """Jobs that ended one after the other, the last submitted first."""
    for n in range(count):
        ledger.add(waiting(f"j{n}"))
    for n in reversed(range(count)):
        ledger.change(done(ledger.find(f"j{n}"), 2_000 + 10 * (count - n)))


def test_an_entry_comes_back_as_it_was(ledger):
    entry = waiting("a")
    ledger.add(entry)
    assert ledger.find("a") == entry
    ended = done(entry, 2_000)
    ledger.change(ended)
    assert ledger.find("a") == ended
    assert (ended.record.stage, ended.record.finish_reason) == (JobStage.SUCCESS, FinishReason.SUCCESS)
    assert (ended.record.start_ms, ended.record.finish_ms) == (1_995, 2_000)


def test_open_jobs_come_in_order_of_submission_and_ended_ones_in_order_of_completion(ledger):
    filled(ledger, 3)
    for name in ("z", "a"):
        ledger.add(waiting(name))
    assert [entry.id for entry in ledger.open()] == ["z", "a"]
    assert [entry.id for entry in ledger.ended(Page())] == ["j2", "j1", "j0"]
    assert [entry.id for entry in ledger.ended(Page(newest_first=True, size=2))] == ["j0", "j1"]
    assert [entry.id for entry in ledger.ended(Page(number=1, size=2))] == ["j0"]
    assert [entry.id for entry in ledger.ended(Page(job_id="j1"))] == ["j1"]
    assert (ledger.count_ended(), ledger.last_id()) == (3, "a")


def test_a_deleted_job_leaves_nothing_but_its_id(ledger):
    filled(ledger, 2)
    assert (ledger.delete(["j0"]), ledger.delete(["j0", "x"])) == (1, 0)
    assert ledger.find("j0") is None
    assert ledger.knows("j0")
    assert not ledger.knows("nobody")
    assert ([entry.id for entry in ledger.ended(Page())], ledger.count_ended()) == (["j1"], 1)


@pytest.mark.parametrize(
    ("keep", "before_ms", "outdated"),
    [(None, None, []), (5, None, []), (2, None, ["j3", "j2"]), (None, 2_015, ["j3"]), (3, 2_025, ["j3", "j2"])],
)
def test_what_is_beyond_the_limits_is_the_oldest(ledger, keep, before_ms, outdated):
    filled(ledger, 4)
    assert [entry.id for entry in ledger.outdated(keep=keep, before_ms=before_ms)] == outdated


def test_an_end_and_its_message_are_written_together(engine, ledger):
    messages = Messages(engine)
    entry = waiting("a")
    ledger.add(entry)
    message = Message("m", "https://receiver.example", "größe".encode(), 0)
    ledger.change(done(entry, 2_000), message)
    assert messages.waiting() == [message]


def test_an_end_that_is_noted_stays_as_it_is(engine, ledger):
    messages = Messages(engine)
    ledger.add(waiting("a"))
    ended = done(waiting("a"), 2_000)
    message = Message("m", "https://receiver.example", b"{}", 0)
    for _ in range(2):
        ledger.change(ended, message)
    ledger.change(waiting("a").failed(Part("a"), "late", 3_000), replace(message, id="other"))
    assert ledger.find("a") == ended
    assert messages.waiting() == [message]


def test_messages_wait_in_order_until_they_are_forgotten_or_buried(engine, ledger):
    messages = Messages(engine)
    ledger.add(waiting("a"))
    sent = [Message(name, "https://receiver.example", b"{}", 0) for name in "cab"]
    for message in sent:
        ledger.change(waiting("a"), message)
    messages.tried(replace(sent[0], tries=2))
    messages.forget(sent[1])
    messages.bury(sent[2], "status 404")
    assert messages.waiting() == [replace(sent[0], tries=2)]
    assert messages.dead() == [sent[2]]


def test_a_database_is_opened_again_with_what_was_in_it(tmp_path):
    for _ in range(2):
        engine = open_database(f"sqlite:///{tmp_path}/x.db")
        ledger = Ledger(engine)
        if not ledger.knows("a"):
            ledger.add(waiting("a"))
        assert ledger.find("a") == waiting("a")
        engine.dispose()
