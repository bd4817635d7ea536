"""A worker process against a stand-in of the platform: its environment, its start, its signals, what it printed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCRIPTED = "-m", "tests.worker.scripted"
POD = "pod1"


def environment(port: int, home: Path, **settings: str) -> dict[str, str]:
    """What the platform gives a worker (platform.md §4.1, §5), on loopback, and ``settings``."""
    base = f"http://127.0.0.1:{port}/v2/ep"
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "PYTHONUNBUFFERED": "1",
        "HOME": str(home),
        "TMPDIR": str(home),
        "OMP_NUM_THREADS": "1",
        "RUNPOD_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=none",
        "RUNPOD_WEBHOOK_POST_OUTPUT": f"{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none",
        "RUNPOD_WEBHOOK_POST_STREAM": f"{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=none",
        "RUNPOD_WEBHOOK_PING": f"{base}/ping/$RUNPOD_POD_ID",
        "RUNPOD_PING_INTERVAL": "1000",
        "RUNPOD_AI_API_KEY": "key",
        "RUNPOD_POD_ID": POD,
        "RUNPOD_ENDPOINT_ID": "ep",
        "RUNPOD_LOG_LEVEL": "INFO",
        "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
        "RUNPOD_SKIP_GPU_CHECK": "true",
        "FOOOCUS_DEVICE": "cpu",
        "FOOOCUS_PROGRESS_INTERVAL": "0",
        **settings,
    }


class WorkerProcess:
    """A running worker. ``output`` is all it has printed, its errors included."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.output = ""
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    def terminate(self) -> None:
        """SIGTERM, as the platform sends it: to the worker alone."""
        self.process.terminate()

    async def printed(self, *texts: str) -> str:
        """Wait until one of ``texts`` is in the output; the one that is.

        Raises:
            EOFError: the process ended without it.
        """
        while not (found := [text for text in texts if text in self.output]):
            if self._reading.done():
                raise EOFError(self.output)
            self._news.clear()
            await self._news.wait()
        return found[0]

    async def exit_code(self) -> int:
        """Wait for the end of the process and of what it prints."""
        code = await self.process.wait()
        await self._reading
        return code

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while chunk := await self.process.stdout.read(65536):
            self.output += chunk.decode(errors="replace")
            self._news.set()
        self._news.set()


@asynccontextmanager
async def worker(arguments: tuple[str, ...], variables: dict[str, str]) -> AsyncIterator[WorkerProcess]:
    """The interpreter with ``arguments``; what is left of its process group is killed at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=variables["HOME"],
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    running = WorkerProcess(process)
    try:
        yield running
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            running.output += "(the worker had ended)"
        await running.exit_code()
