"""Delivery of finished jobs to addresses that clients chose: what is sent, when again, and when no more.

The messages wait in an ``Outbox``, which each door keeps in its own store, so that they outlive the process; a message
is claimed before each try and can therefore arrive twice, never silently not at all. Sending is handed in.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from fooocus_engine.guarded_http import GuardedHttp, TargetFailed, TargetRefused
from fooocus_engine.public_hosts import Guard

log = logging.getLogger(__name__)

TIMEOUT_S = 15.0  # of one try (api.md §4.8)
CLAIM_S = 60.0  # a claimed message is due again after this, if its process ended during the try
IDS = uuid.UUID("6f0c2f0e-6d0b-4f5e-9a57-0d5a3d9c1b44")  # name space of the messages that tell of jobs

Post = Callable[[str, bytes, Mapping[str, str]], int]
"""Address, body and headers → status. Raises ``TargetRefused`` or ``TargetFailed``; may block."""


def guarded_post(guard: Guard) -> Post:
    """A ``Post`` to the hosts that ``guard`` allows."""
    return GuardedHttp(guard, timeout_s=TIMEOUT_S).post


@dataclass(frozen=True)
class Message:
    """One delivery. ``id`` is the same over all tries; ``tries`` counts those claimed so far, this one included."""

    id: str
    url: str
    body: bytes
    tries: int


def end_of_job(job_id: str, url: str, pictures: Iterable[tuple[str | None, str]]) -> Message:
    """What tells ``url`` that a job has ended (api.md §4.8): address and seed of each picture, none without success.

    The id is the same whoever makes the message of a job, and however often.
    """
    results = [{"url": address, "seed": seed or "-1"} for address, seed in pictures]
    body = json.dumps({"job_id": job_id, "job_result": results}).encode()
    return Message(str(uuid.uuid5(IDS, job_id)), url, body, 0)


class Outbox(Protocol):
    """Where messages wait."""

    def claim(self, claim_s: float) -> list[Message]:
        """All messages that are due, each counted as tried once more and due again after ``claim_s``."""

    def settle(self, message: Message) -> None:
        """The message is delivered."""

    def bury(self, message: Message, why: str) -> None:
        """The message will never be delivered."""

    def postpone(self, message: Message, wait_s: float) -> None:
        """Try again after ``wait_s``."""


class Verdict(Enum):
    """What an answer means."""

    DELIVERED = "delivered"
    AGAIN = "again"
    OVER = "over"


@dataclass(frozen=True)
class Rules:
    """When a delivery is good, and how long to wait before the second, third … try."""

    waits_s: tuple[float, ...]
    judge: Callable[[int], Verdict]


def judge_client(status: int) -> Verdict:
    """2xx is good; 5xx and 429 may pass; everything else, redirects included, is final (api.md §4.8)."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    return Verdict.AGAIN if status >= 500 or status == 429 else Verdict.OVER


def judge_platform(status: int) -> Verdict:
    """Only 200 is good, everything else is tried again (platform.md §6.4)."""
    return Verdict.DELIVERED if status == 200 else Verdict.AGAIN


CLIENT_RULES = Rules((5.0, 30.0), judge_client)
PLATFORM_RULES = Rules((10.0, 10.0), judge_platform)


def signed_headers(message: Message, secret: str | None) -> dict[str, str]:
    """The headers of every try: content type, the message's id, and with a secret the HMAC-SHA256 of the body."""
    headers = {"Content-Type": "application/json", "X-Webhook-Id": message.id}
    if secret:
        digest = hmac.new(secret.encode(), message.body, hashlib.sha256).hexdigest()
        headers["X-Webhook-Signature"] = f"sha256={digest}"
    return headers


@dataclass(frozen=True)
class Courier:
    """Carries what is due. The posts block threads of ``threads``; the outbox is used on the event loop alone."""

    outbox: Outbox
    post: Post
    rules: Rules
    threads: Executor
    secret: str | None = None

    async def deliver_due(self) -> None:
        """One try for every message that is due; returns when each has been delivered, postponed or given up."""
        await asyncio.gather(*map(self._try, self.outbox.claim(CLAIM_S)))

    async def _try(self, message: Message) -> None:
        verdict, answer = await self._sent(message)
        if verdict is Verdict.DELIVERED:
            self.outbox.settle(message)
        elif verdict is Verdict.AGAIN and message.tries <= len(self.rules.waits_s):
            self.outbox.postpone(message, self.rules.waits_s[message.tries - 1])
        else:
            log.warning("webhook %s not delivered after %d tries: %s", message.id, message.tries, answer)
            self.outbox.bury(message, answer)

    async def _sent(self, message: Message) -> tuple[Verdict, str]:
        """What became of one try, and the answer in words."""
        headers = signed_headers(message, self.secret)
        loop = asyncio.get_running_loop()
        try:
            status = await loop.run_in_executor(self.threads, self.post, message.url, message.body, headers)
            return self.rules.judge(status), f"status {status}"
        except TargetRefused as error:
            return Verdict.OVER, str(error)
        except TargetFailed as error:
            return Verdict.AGAIN, str(error)
