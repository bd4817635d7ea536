"""Starts the workers of this machine and watches them: each the unmodified handler in a process group of its own.

A worker that ends is started again, after a growing pause if it did not live long; one that asks to be replaced, or is
told to end, finishes what it has in hand first. Ends nothing but what it has started, and leaves nothing behind: should
this process be killed, the end of a pipe tells each group to kill itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fooocus_engine.local_platform.platform import Platform

log = logging.getLogger(__name__)

OWN = "local-"  # how the names of workers begin that were started here
# Stands beside the worker, in its group: ends the group when the pipe at its input is closed. The worker then takes the
# shell's place, so that the process that was started is the worker itself.
GUARDED = 'exec 3<&0; (read -r _ <&3; kill -KILL 0) & exec "$@" </dev/null 3<&-'
LAST_BACKOFF_S = 60.0
SETTLED_S = 60.0  # a worker that has lived so long is started again without delay
MAX_LINE = 65536  # bytes of output shown as one line
LAST_WORDS_S = 1.0  # a process outside the group may hold the output open


@dataclass(frozen=True)
class Recipe:
    """How workers are made. ``environment`` gives the variables for a worker's name."""

    command: Sequence[str]
    environment: Callable[[str], Mapping[str, str]]
    show: Callable[[str], object]
    """Takes each line that a worker prints, with its number before it."""
    grace_s: float = 10.0
    """How long a worker that was told to end may go on with what it has in hand."""
    backoff_s: float = 1.0
    """The first pause before a worker that ended soon is started again; it doubles each time."""


class Fleet:
    """The workers of one platform."""

    def __init__(self, platform: Platform, recipe: Recipe) -> None:
        self._platform = platform
        self._recipe = recipe
        self._running: set[str] = set()
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()

    async def run(self, workers: int) -> None:
        """Keep so many workers; returns when ``stop`` was called and all have ended."""
        async with asyncio.TaskGroup() as group:
            for number in range(1, workers + 1):
                group.create_task(self._keep(number))

    def stop(self) -> None:
        """Let every worker finish what it can in its grace; called again, end them now."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()
        for name in self._running:
            self._platform.dismiss(name)

    async def _keep(self, number: int) -> None:
        backoff_s = self._recipe.backoff_s
        while not self._stopping.is_set():
            born = time.monotonic()
            replaced = await self._live(number)
            if replaced or time.monotonic() - born >= SETTLED_S:
                backoff_s = self._recipe.backoff_s
                continue
            if not self._stopping.is_set():
                log.warning("worker %d is started again in %g s", number, backoff_s)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff_s)
            backoff_s = min(2 * backoff_s, LAST_BACKOFF_S)

    async def _live(self, number: int) -> bool:
        """One worker from start to end; whether it was told to end."""
        name = f"{OWN}{number}-{secrets.token_hex(4)}"
        self._platform.roster.start(name)
        process = await start(self._recipe, name, number)
        log.info("worker %d is %s, process %d", number, name, process.pid)
        self._running.add(name)
        if self._stopping.is_set():
            self._platform.dismiss(name)
        dismissed = asyncio.create_task(self._platform.dismissed(name))
        either: list[asyncio.Future[Any]] = [process.ended, dismissed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not process.ended.done():
            await self._end(name, process)
        dismissed.cancel()
        self._running.discard(name)
        told = not self._platform.roster.serves(name)
        self._platform.lose(name, expected=told)
        await process.clear()
        log.log(logging.INFO if told else logging.WARNING, "worker %d ended: %s", number, process.ended.result())
        return told

    async def _end(self, name: str, process: WorkerProcess) -> None:
        """Ask a worker to end; what it does not finish in its grace goes back to the queue."""
        process.signal(signal.SIGTERM)
        self._platform.let_go(name)
        hurry = asyncio.create_task(self._hurry.wait())
        either: list[asyncio.Future[Any]] = [process.ended, hurry]
        await asyncio.wait(either, timeout=self._recipe.grace_s, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        process.signal(signal.SIGKILL)
        await process.ended


class WorkerProcess(asyncio.SubprocessProtocol):
    """One process and what it prints. ``ended`` becomes how it ended, in words."""

    def __init__(self, show: Callable[[str], object], prefix: str) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = loop.create_future()
        self.pid = 0
        self._show = show
        self._prefix = prefix
        self._rest = b""
        self._transport: asyncio.SubprocessTransport | None = None
        self._silent = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        self.pid = transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._show(f"{self._prefix}{line.decode(errors='replace')}\n")

    def process_exited(self) -> None:
        assert self._transport is not None
        code = self._transport.get_returncode() or 0
        self.ended.set_result(f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self.pipe_data_received(1, b"\n")
        self._silent.set_result(None)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the worker itself, if it has not ended."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def clear(self) -> None:
        """After its end: kill what is left of its group (guard, heartbeat), and show its last words."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await asyncio.wait([self._silent], timeout=LAST_WORDS_S)
        assert self._transport is not None
        self._transport.close()


async def start(recipe: Recipe, name: str, number: int) -> WorkerProcess:
    """A worker of that name, in a session and process group of its own."""
    _, process = await asyncio.get_running_loop().subprocess_exec(
        lambda: WorkerProcess(recipe.show, f"[worker {number}] "),
        "/bin/sh",
        "-c",
        GUARDED,
        "worker",
        *recipe.command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(recipe.environment(name)),
        start_new_session=True,
    )
    return process
