"""Webhooks that wait in the queue's file."""

from contextlib import closing

import pytest

from tests.local_platform.standing import Standing


@pytest.fixture
def standing(tmp_path):
    with closing(Standing(tmp_path)) as standing:
        yield standing


def put(standing, body):
    with standing.database.changing():
        standing.store.outbox.put("https://h.example/", body)


def test_a_message_is_due_at_once_and_then_claimed(standing):
    put(standing, "ü")
    (message,) = standing.store.outbox.claim(60)
    assert (message.url, message.body, message.tries) == ("https://h.example/", "ü".encode(), 1)
    assert standing.store.outbox.claim(60) == []


def test_a_claim_that_nobody_settles_is_over_after_its_time(standing):
    put(standing, "x")
    (first,) = standing.store.outbox.claim(60)
    standing.clock.forward(60_000)
    (second,) = standing.store.outbox.claim(60)
    assert (second.id, second.tries) == (first.id, 2)


def test_a_postponed_message_is_due_after_its_time(standing):
    put(standing, "x")
    (message,) = standing.store.outbox.claim(60)
    standing.store.outbox.postpone(message, 10)
    standing.clock.forward(9999)
    assert standing.store.outbox.claim(60) == []
    standing.clock.forward(1)
    assert len(standing.store.outbox.claim(60)) == 1


@pytest.mark.parametrize("end", ["settle", "bury"])
def test_a_settled_message_is_gone(standing, end):
    put(standing, "x")
    (message,) = standing.store.outbox.claim(60)
    standing.store.outbox.settle(message) if end == "settle" else standing.store.outbox.bury(message, "no")
    standing.clock.forward(10**9)
    assert standing.store.outbox.claim(60) == []


def test_messages_outlive_their_process(standing, tmp_path):
    put(standing, "x")
    standing.close()
    with closing(Standing(tmp_path)) as again:
        assert [message.body for message in again.store.outbox.claim(60)] == [b"x"]
