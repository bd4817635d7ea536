"""A running door in front of a stub platform, on loopback, both on one thread beside the test's."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web
from fastapi import FastAPI

from fooocus_engine.jobs.webhook import Rules, judge_client
from fooocus_engine.public_hosts import Network
from fooocus_engine.settings import Settings
from fooocus_engine.shim.app import create_app
from fooocus_engine.shim.pace import Pace
from fooocus_engine.shim.platform import Patience
from fooocus_engine.shim.serving import Server
from fooocus_engine.shim.settings import ShimSettings
from fooocus_engine.shim.tempo import Tempo
from tests.shim.stub_platform import KEY, StubPlatform

QUICK = Pace(watched_s=0.01, young_s=0.02, old_s=0.05, fresh_s=0.005, rate=1000)
BRISK = Tempo(QUICK, Patience(timeout_s=30, tries=3, pause_s=0.01), Rules((0.02, 0.05), judge_client))
HASTY = replace(BRISK, patience=replace(BRISK.patience, timeout_s=2), webhook_timeout_s=1)
T2I = "/v1/generation/text-to-image"
JSON = dict[str, Any]
PATIENCE_S = 300.0


class Live:
    """The client's side. ``url`` is the door's address."""

    def __init__(self, url: str, stub: StubPlatform, app: FastAPI, data: Path) -> None:
        self.url, self.stub, self.app, self.data = url, stub, app, data
        self.client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.client.get(path, params=query)

    def post(
        self, path: str, json: Any = None, headers: Mapping[str, str] | None = None, **query: Any
    ) -> httpx.Response:
        return self.client.post(path, json=json, headers=headers, params=query)

    def submit(self, **fields: Any) -> JSON:
        """The job object of an asynchronous text-to-image."""
        reply = self.post(T2I, {"prompt": "a boat", "async_process": True, **fields})
        assert reply.status_code == 200, reply.text
        found: JSON = reply.json()
        return found

    def ended(self, job_id: str, **query: Any) -> JSON:
        """The job object when the job has ended."""
        found: JSON = self.get("/v1/generation/query-job", job_id=job_id, wait=60, **query).json()
        assert found["job_stage"] in ("SUCCESS", "ERROR"), found
        return found

    def until(self, true: Callable[[], Any]) -> None:
        """Return when something is so; the door goes on meanwhile."""
        deadline = time.monotonic() + PATIENCE_S
        while not true():
            assert time.monotonic() < deadline
            self.get("/ping")

    def end(self) -> None:
        """Tell the door to end, as a signal does."""
        self.app.state.loop.call_soon_threadsafe(self.app.state.server.end)


@contextmanager
def live(
    data: Path,
    stub: StubPlatform | None = None,
    *,
    tempo: Tempo = BRISK,
    private_urls: tuple[Network, ...] = (),
    **changes: Any,
) -> Iterator[Live]:
    """A door with settings ``changes``, its data in ``data``; all is gone when the context ends."""
    stub = stub or StubPlatform()
    door, platform = listening(), listening()
    settings = replace(
        ShimSettings(
            port=door.getsockname()[1],
            platform_url=f"http://127.0.0.1:{platform.getsockname()[1]}/v2",
            endpoint_id="ep",
        ),
        **changes,
    )
    app = create_app(
        settings,
        Settings(models_dir=data / "models", data_dir=data, api_key=KEY, private_urls=private_urls),
        tempo=tempo,
    )
    server = Server(app, settings)
    ready = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(server, stub, (door, platform), ready)))
    thread.start()
    try:
        assert ready.wait(60)
        found = Live(f"http://127.0.0.1:{settings.port}", stub, app, data)
        with found.client:
            yield found
    finally:
        if thread.is_alive():
            app.state.loop.call_soon_threadsafe(server.end)
        thread.join()


@contextmanager
def serving(stub: StubPlatform) -> Iterator[int]:
    """A stub platform alone, on a thread; its port."""
    ready, done = threading.Event(), threading.Event()
    with listening() as platform:

        async def serve() -> None:
            stub.ended = asyncio.Event()
            runner = web.AppRunner(stub.app())
            await runner.setup()
            await web.SockSite(runner, platform).start()
            ready.set()
            await asyncio.to_thread(done.wait)
            stub.ended.set()
            await runner.cleanup()

        thread = threading.Thread(target=lambda: asyncio.run(serve()))
        thread.start()
        assert ready.wait(60)
        try:
            yield platform.getsockname()[1]
        finally:
            done.set()
            thread.join()


async def _serve(
    server: Server, stub: StubPlatform, sockets: tuple[socket.socket, socket.socket], ready: threading.Event
) -> None:
    stub.ended = asyncio.Event()
    runner = web.AppRunner(stub.app())
    await runner.setup()
    await web.SockSite(runner, sockets[1]).start()
    server.config.app.state.loop, server.config.app.state.server = asyncio.get_running_loop(), server
    serving = asyncio.create_task(server.serve([sockets[0]]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    ready.set()
    await serving
    stub.ended.set()
    await runner.cleanup()


def listening() -> socket.socket:
    """A socket of a free loopback port."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    return listening
