"""Webhooks that wait in the queue's file."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from fooocus_engine.guarded_http import TargetFailed, TargetRefused
from fooocus_engine.jobs.webhook import PLATFORM_RULES, Courier
from fooocus_engine.local_platform.job import State
from fooocus_engine.local_platform.store import Ending
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


REFUSED, UNREACHABLE = TargetRefused("not public"), TargetFailed("the connection is refused")


@pytest.mark.parametrize(
    ("answers", "times_s"),
    [
        ([200], [0]),
        ([500, 200], [0, 10]),
        ([UNREACHABLE, 404, 302, 200], [0, 10, 20]),
        ([REFUSED, 200], [0]),
    ],
)
def test_the_end_of_a_job_is_told_by_the_rules_of_the_platform(standing, answers, times_s):
    id = standing.submit(webhook="https://h.example/")
    standing.take("w")
    standing.store.finish("w", id, Ending(State.COMPLETED, "1"))
    posted_at, start = [], standing.clock()

    def post(url, body, headers):
        posted_at.append((standing.clock() - start) // 1000)
        answer = answers[len(posted_at) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    with ThreadPoolExecutor(1) as threads:
        courier = Courier(standing.store.outbox, post, PLATFORM_RULES, threads)
        for _ in range(100):
            asyncio.run(courier.deliver_due())
            standing.clock.forward(1000)
    assert posted_at == times_s
    assert standing.database.rows("SELECT * FROM outbox") == []
