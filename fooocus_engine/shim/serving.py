"""The door as a running program: listens, and ends in order when it is told to."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import uvicorn
from fastapi import FastAPI

from fooocus_engine.errors import EngineError
from fooocus_engine.settings import Settings
from fooocus_engine.shim.app import create_app
from fooocus_engine.shim.settings import ShimSettings
from fooocus_engine.shim.tempo import TEMPO, Tempo

LAST_ANSWERS_S = 10  # for requests that are being answered when the server ends
KEEP_ALIVE_S = 75  # longer than clients and proxies keep an idle connection, who then close it themselves
ENDS = (signal.SIGINT, signal.SIGTERM)


class NotStarted(EngineError):
    """The door cannot be opened as asked."""


class Server(uvicorn.Server):
    """Leaves signals to its owner; told to end, it first lets go those who wait for jobs."""

    def __init__(self, app: FastAPI, settings: ShimSettings) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=settings.log_level == "debug",
                lifespan="on",
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=LAST_ANSWERS_S,
            )
        )
        self._app = app

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing is captured."""
        yield

    def end(self) -> None:
        """Answer what can be answered, then end; told again, end now."""
        door = getattr(self._app.state, "door", None)
        if door is not None:
            door.let_go()
        self.force_exit = self.should_exit
        self.should_exit = True


def listening(settings: ShimSettings) -> socket.socket:
    """The socket of the door's address.

    Raises:
        NotStarted: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NotStarted(f"cannot listen on {settings.host!r}, port {settings.port}: {reason}") from error


async def serve(settings: ShimSettings, engine: Settings, *, tempo: Tempo = TEMPO) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        NotStarted: the address cannot be had, or the door cannot be opened.
    """
    with opened(settings, engine, tempo=tempo) as (server, listener):
        loop = asyncio.get_running_loop()
        for number in ENDS:
            loop.add_signal_handler(number, server.end)
        await run(server, listener)


@contextmanager
def opened(settings: ShimSettings, engine: Settings, *, tempo: Tempo = TEMPO) -> Iterator[tuple[Server, socket.socket]]:
    """A server that is ready to run on its socket."""
    with closing(listening(settings)) as listener:
        known = replace(settings, port=listener.getsockname()[1])
        yield Server(create_app(known, engine, tempo=tempo), known), listener


async def run(server: Server, listener: socket.socket) -> None:
    """Serve until the server is told to end.

    Raises:
        NotStarted: the door could not be opened; the log tells why.
    """
    await server.serve([listener])
    if not server.started:
        raise NotStarted("the server could not be started; the log tells why")
