"""A platform to stand tests on: a queue in a folder, a clock that a test moves, and its routes on loopback."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

from aiohttp.test_utils import TestClient, TestServer

from fooocus_engine.local_platform import json_text
from fooocus_engine.local_platform.app import Access, create_app
from fooocus_engine.local_platform.database import Database
from fooocus_engine.local_platform.platform import Platform
from fooocus_engine.local_platform.store import Store
from fooocus_engine.local_platform.submission import read_submission

BASE = "/v2/local"


class Clock:
    """Milliseconds that pass only when told; ``seconds`` is the same time for those who count seconds."""

    def __init__(self, now=1_000_000):
        self.now = now

    def __call__(self):
        return self.now

    def seconds(self):
        return self.now / 1000

    def forward(self, ms):
        self.now += ms


class Standing:
    """Database, store and platform over one folder and one clock."""

    def __init__(self, folder, *, hold_s=25.0):
        self.clock = Clock()
        self.database = Database(folder)
        self.store = Store(self.database, self.clock)
        self.platform = Platform(self.store, clock=self.clock, monotonic=self.clock.seconds, hold_s=hold_s)

    def submit(self, given="x", /, *, synchronous=False, **body):
        """A new job's id."""
        raw = json.dumps({"input": given, **body}).encode()
        submission = read_submission(raw, synchronous=synchronous, now_ms=self.clock())
        self.store.submit(submission)
        return submission.job.id

    def take(self, worker="w", most=1):
        """The ids of jobs that the worker was handed."""
        return list(self.store.take(worker, most))

    def close(self):
        self.database.close()


@asynccontextmanager
async def served(folder, *, access=None, middlewares=(), hold_s=25.0) -> AsyncIterator[tuple[Standing, TestClient]]:
    """A platform and a client of its routes."""
    with closing(Standing(folder, hold_s=hold_s)) as standing:
        app = create_app(standing.platform, access or Access(), clock=standing.clock, middlewares=middlewares)
        async with TestClient(TestServer(app)) as client:
            yield standing, client


async def asked(client, method, path, body=None, **options):
    """Status and JSON of a request to the endpoint."""
    text = json_text.write(body) if isinstance(body, dict | list) else body
    data = io.BytesIO(text.encode() if isinstance(text, str) else text) if text is not None else None
    async with client.request(method, BASE + path, data=data, **options) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if text else None
