"""Updates on their way to a platform on loopback."""

import asyncio
import json
import socket

import aiohttp
import pytest
from aiohttp import web

from fooocus_engine.worker.line import Line
from fooocus_engine.worker.progress import LineDown

UPDATE = {"job_progress": 20, "job_status": "猫"}


class Platform:
    """Answers posts with what the test says, ``reset`` breaks the connection."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.posts = []

    async def done(self, request):
        self.posts.append((request.path_qs, dict(request.headers), await request.read()))
        answer = self.answers.pop(0) if self.answers else 200
        if answer == "reset":
            request.transport.abort()
            return web.Response()
        return web.Response(status=answer)


def posted(platform, times=1):
    """Post an update ``times``; what each attempt raised, or ``None``."""

    async def run():
        app = web.Application()
        app.router.add_post("/done/{job}", platform.done)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        line = Line(aiohttp.ClientSession, f"http://127.0.0.1:{port}/done/$ID?gpu=x", "j1")
        ends = []
        for _ in range(times):
            try:
                await line.post(UPDATE)
                ends.append(None)
            except LineDown as error:
                ends.append(str(error))
        await line.close()
        await line.close()  # a second time changes nothing
        await runner.cleanup()
        return ends

    return asyncio.run(run())


def test_an_update_goes_where_the_sdk_posts_results_and_says_that_the_job_runs():
    platform = Platform()
    assert posted(platform) == [None]
    ((path, headers, body),) = platform.posts
    assert path == "/done/j1?gpu=x&isStream=false"
    assert headers["charset"] == "utf-8"
    assert json.loads(body) == {"status": "IN_PROGRESS", "output": UPDATE}
    assert "猫" in body.decode()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_platform_that_asks_to_come_later_is_a_line_that_is_down(status):
    assert posted(Platform(status)) == [f"status {status}"]


@pytest.mark.parametrize("status", [400, 404, 413])
def test_a_refusal_is_not_repeated_and_is_logged(status, caplog):
    assert posted(Platform(status)) == [None]
    assert f"refuses progress with status {status}" in caplog.text


def test_after_a_broken_connection_a_new_one_is_made():
    platform = Platform("reset")
    assert posted(platform, times=2) == ["ServerDisconnectedError", None]
    assert len(platform.posts) == 2


def test_a_platform_that_is_not_there_is_a_line_that_is_down():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def run():
        line = Line(aiohttp.ClientSession, f"http://127.0.0.1:{port}/done/$ID?", "j1")
        with pytest.raises(LineDown, match="ClientConnectorError"):
            await line.post(UPDATE)
        await line.close()

    asyncio.run(run())
