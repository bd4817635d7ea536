"""Deliveries through a scripted receiver; the outbox is a dictionary and time a number."""

import asyncio
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from fooocus_engine.guarded_http import TargetFailed, TargetRefused
from fooocus_engine.jobs.webhook import CLIENT_RULES, PLATFORM_RULES, Courier, Message, signed_headers

MESSAGE = Message("m1", "http://receiver.example/hook", b'{"job_id":"j"}', tries=0)


class Outbox:
    """Messages with the second from which each is due."""

    def __init__(self, *messages):
        self.now = 0.0
        self.waiting = {message.id: (0.0, message) for message in messages}
        self.buried = {}

    def claim(self, claim_s):
        due = [replace(m, tries=m.tries + 1) for at, m in self.waiting.values() if at <= self.now]
        self.waiting |= {message.id: (self.now + claim_s, message) for message in due}
        return due

    def settle(self, message):
        del self.waiting[message.id]

    def bury(self, message, why):
        del self.waiting[message.id]
        self.buried[message.id] = why

    def postpone(self, message, wait_s):
        self.waiting[message.id] = (self.now + wait_s, message)


class Receiver:
    """Answers what it is told to, one after the other; remembers what came."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.got = []

    def __call__(self, url, body, headers):
        self.got.append((url, body, headers))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def deliver(outbox, receiver, rules):
    """All tries up to the last; the seconds at which they were made."""
    times = []
    with ThreadPoolExecutor(1) as threads:
        courier = Courier(outbox, receiver, rules, threads)
        while outbox.waiting:
            outbox.now = min(at for at, _ in outbox.waiting.values())
            times.append(outbox.now)
            asyncio.run(courier.deliver_due())
    return times


FAILED = TargetFailed("the connection is refused")


@pytest.mark.parametrize(
    ("rules", "answers", "times", "buried"),
    [
        (CLIENT_RULES, [200], [0], None),
        (CLIENT_RULES, [204], [0], None),
        (CLIENT_RULES, [503, FAILED, 201], [0, 5, 35], None),
        (CLIENT_RULES, [429, 500, FAILED], [0, 5, 35], "the connection is refused"),
        (CLIENT_RULES, [404], [0], "status 404"),
        (CLIENT_RULES, [302], [0], "status 302"),
        (CLIENT_RULES, [TargetRefused("not public")], [0], "not public"),
        (PLATFORM_RULES, [200], [0], None),
        (PLATFORM_RULES, [204, 404, 200], [0, 10, 20], None),
        (PLATFORM_RULES, [FAILED, 302, 500], [0, 10, 20], "status 500"),
        (PLATFORM_RULES, [TargetRefused("not public")], [0], "not public"),
    ],
)
def test_a_message_is_tried_by_the_rules(rules, answers, times, buried):
    outbox, receiver = Outbox(MESSAGE), Receiver(*answers)
    assert deliver(outbox, receiver, rules) == times
    assert outbox.buried == ({} if buried is None else {"m1": buried})
    assert len(receiver.got) == len(answers)
    assert {(url, body, headers["X-Webhook-Id"]) for url, body, headers in receiver.got} == {
        (MESSAGE.url, MESSAGE.body, "m1")
    }


def test_a_try_that_its_process_did_not_survive_is_made_again():
    outbox = Outbox(MESSAGE)
    outbox.claim(60)
    assert deliver(outbox, Receiver(200), CLIENT_RULES) == [60]


def test_messages_do_not_wait_for_one_another():
    second = replace(MESSAGE, id="m2")
    outbox = Outbox(MESSAGE, second)
    assert deliver(outbox, Receiver(200, 200), CLIENT_RULES) == [0]


def test_without_a_secret_there_is_no_signature():
    assert "X-Webhook-Signature" not in signed_headers(MESSAGE, None)


def test_the_signature_is_the_hmac_of_the_body():
    expected = hmac.new(b"key", MESSAGE.body, hashlib.sha256).hexdigest()
    assert signed_headers(MESSAGE, "key")["X-Webhook-Signature"] == f"sha256={expected}"
