"""The platform as a running program: opens the state, listens, keeps the workers, and ends in order."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
import site
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.typedefs import Middleware

from fooocus_engine.errors import EngineError
from fooocus_engine.jobs.daemon_threads import DaemonThreads
from fooocus_engine.jobs.webhook import PLATFORM_RULES, Courier, guarded_post
from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.app import ENDPOINT, Access, create_app, is_loopback
from fooocus_engine.local_platform.database import Database, wall_clock_ms
from fooocus_engine.local_platform.platform import OUTBOX, Platform
from fooocus_engine.local_platform.store import Store
from fooocus_engine.local_platform.worker_environment import adapted, worker_variables
from fooocus_engine.local_platform.workers import OWN, Fleet, Recipe
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import environment_with

log = logging.getLogger(__name__)

TICK_S = 1.0
CLOSE_S = 2.0  # for answers that are being written when the server closes
WEBHOOK_THREADS = 8
HANDLER = Path(__file__).parents[2] / "handler.py"
ENDS = (signal.SIGINT, signal.SIGTERM)


class NotStarted(EngineError):
    """The platform cannot be started as asked."""


@dataclass(frozen=True)
class Options:
    """What to serve. ``show`` takes the lines that workers print."""

    state: Path
    show: Callable[[str], object]
    host: str = "127.0.0.1"
    port: int = 8889
    workers: int = 1
    api_key: str | None = None
    guard: Guard = field(default_factory=Guard)
    """Where webhooks may go."""
    handler: Path = HANDLER
    worker_variables: Mapping[str, str] = field(default_factory=dict)
    """Variables of the workers' environment besides those of this process."""
    grace_s: float = 10.0
    """How long workers may go on with what they have in hand when the platform ends."""
    hold_s: float = limits.HOLD_S
    """How long a worker's poll is held."""
    middlewares: Sequence[Middleware] = ()


async def serve(options: Options) -> None:
    """Serve until SIGINT or SIGTERM; a second one ends the workers without grace.

    Raises:
        NotStarted: the address is open to others and no key is set, or it is taken, or there is no handler.
        StateUnusable: another platform uses this state.
    """
    check(options)
    with closing(listening(options)) as listener, closing(Database(options.state)) as database:
        platform = Platform(Store(database, wall_clock_ms), clock=wall_clock_ms, hold_s=options.hold_s)
        platform.resume(OWN)
        access = Access(options.api_key, secrets.token_urlsafe())
        app = create_app(platform, access, clock=wall_clock_ms, middlewares=options.middlewares)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=CLOSE_S)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            base = base_url(options.host, listener.getsockname()[1])
            await keep(platform, options, base, str(access.worker_key))
        finally:
            platform.close()
            await runner.cleanup()
    log.info("ended; open jobs go on at the next start")


async def keep(platform: Platform, options: Options, base: str, key: str) -> None:
    """Keep workers and time until the process is told to end, which it can be once it has said that it listens."""
    fleet, told = Fleet(platform, recipe(options, base, key)), asyncio.Event()

    def end() -> None:
        told.set()
        fleet.stop()

    loop = asyncio.get_running_loop()
    for number in ENDS:
        loop.add_signal_handler(number, end)
    log.info("listening on %s", base)
    threads = DaemonThreads(WEBHOOK_THREADS)  # a post that hangs is claimed, and tried again at the next start
    courier = Courier(platform.store.outbox, guarded_post(options.guard), PLATFORM_RULES, threads)
    async with asyncio.TaskGroup() as group:
        background = [group.create_task(tick(platform)), group.create_task(deliver(platform, courier))]
        await asyncio.gather(fleet.run(options.workers), told.wait())
        for task in background:
            task.cancel()


async def tick(platform: Platform) -> None:
    """Let time pass for the queue, for ever."""
    while True:
        with unkept_is_told():
            platform.tick()
        await asyncio.sleep(TICK_S)


async def deliver(platform: Platform, courier: Courier) -> None:
    """Send webhooks as they become due, for ever; slow receivers do not hold up others."""

    async def deliver_due() -> None:
        with unkept_is_told():
            await courier.deliver_due()

    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(deliver_due())
            await platform.bells.heard(OUTBOX, timeout_s=TICK_S)


@contextmanager
def unkept_is_told() -> Iterator[None]:
    """Log what the queue's file refuses, a full disk say: the next second may be better."""
    try:
        yield
    except sqlite3.Error:
        log.exception("the queue could not be kept")


def recipe(options: Options, base: str, key: str) -> Recipe:
    """How this platform's workers are made: the handler, with its place in the environment of this process."""
    home = options.state / "home"
    home.mkdir(exist_ok=True)

    def environment(worker: str) -> dict[str, str]:
        given = environment_with({})
        packages = {"PYTHONUSERBASE": site.getuserbase()}  # where it was, though the home is another
        told = worker_variables(base, worker, key, home=home.absolute())
        return environment_with({**packages, **told, **adapted(base, given), **options.worker_variables})

    command = (sys.executable, "-u", str(options.handler))
    return Recipe(command, environment, options.show, options.grace_s)


def check(options: Options) -> None:
    """Return if these options can be served.

    Raises:
        NotStarted: they cannot.
    """
    if options.api_key is None and not is_loopback(options.host):
        raise NotStarted(
            f"{options.host!r} can be reached from other machines: set an API key in RUNPOD_API_KEY, "
            "or serve on 127.0.0.1"
        )
    if options.workers and not options.handler.is_file():
        raise NotStarted(f"there is no {options.handler}, which workers run")


def listening(options: Options) -> socket.socket:
    """The socket of the address.

    Raises:
        NotStarted: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    try:
        return socket.create_server((options.host, options.port), family=family)
    except OSError as error:
        raise NotStarted(f"cannot listen on {options.host!r}, port {options.port}: {error.strerror}") from error


def base_url(host: str, port: int) -> str:
    """The endpoint's address as this machine reaches it."""
    reached = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{reached}]' if ':' in reached else reached}:{port}/v2/{ENDPOINT}"
