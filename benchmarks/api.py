"""``python -m benchmarks.api``: the HTTP door under 200 clients, beside a stub platform whose worker answers at once.

Each client submits a job and then asks about it about once a second. The door runs in a process of its own; `--url`
measures one that runs already (a local one, say, while its worker paints).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import aiohttp

from benchmarks.measure import report
from tests.shim.live import serving
from tests.shim.stub_platform import KEY, StubPlatform

ROOT = Path(__file__).parent.parent
T2I, QUERY = "/v1/generation/text-to-image", "/v1/generation/query-job"
QUESTIONS = (QUERY, QUERY, QUERY, "/v1/generation/job-queue", QUERY, "/v1/generation/job-history?page=0")
"""What a client asks in turn."""
DOOR = """
import asyncio, sys
from fooocus_engine.settings import settings_from_environment
from fooocus_engine.shim.serving import serve
from fooocus_engine.shim.settings import shim_settings
told = dict(line.split("=", 1) for line in sys.stdin.read().split())
asyncio.run(serve(shim_settings(sys.argv[1:], told), settings_from_environment(told)))
"""
WEIGHT = """
import time
started = time.process_time()
from fooocus_engine.settings import Settings
from fooocus_engine.shim.app import create_app
from fooocus_engine.shim.settings import ShimSettings
create_app(ShimSettings(), Settings())
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(time.process_time() - started, int(peak) / 1024)
"""


@dataclass
class Findings:
    """What the clients saw."""

    seconds: list[float] = field(default_factory=list)
    """Of each question about status."""
    statuses: Counter[int] = field(default_factory=Counter)
    ended: list[tuple[int, int, str]] = field(default_factory=list)
    """Of ended jobs: when they were submitted and begun, and their ids."""

    processor_s: float = 0.0
    """Of the door, over all requests."""

    def percentile(self, share: float) -> str:
        ordered = sorted(self.seconds)
        return f"{1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.1f} ms"


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--questions", type=int, default=10, help="of each client")
    parser.add_argument("--url", help="a door that runs already; none is started")
    given = parser.parse_args()
    if given.url:
        findings = asyncio.run(asked(given.url, given.clients, given.questions))
    else:
        stub = StubPlatform()
        with door(stub) as (url, number):
            findings = asyncio.run(asked(url, given.clients, given.questions, number))
        assert [job_id for _, _, job_id in sorted(findings.ended)] == list(stub.jobs), "the platform's order is another"
    wrong = sum(count for status, count in findings.statuses.items() if status >= 500)
    cost = 1000 * findings.processor_s / findings.statuses.total()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    report(
        f"{given.clients} clients, {len(findings.seconds)} questions about status, load of the machine {load}",
        [
            ("median", findings.percentile(0.5)),
            ("p99 (aim 50 ms with a stub worker, 250 ms beside a painting one)", findings.percentile(0.99)),
            ("longest", findings.percentile(1)),
            ("processor time of the door for each request", f"{cost:.2f} ms"),
            ("answers of 5xx (aim 0)", str(wrong)),
            ("ended jobs begun in order of submission (aim all)", in_order(findings)),
        ],
    )
    seconds, megabytes = map(float, weight().split())
    report(
        "Importing and building the door, a fresh process",
        [("processor time (aim 1.5 s)", f"{seconds:.2f} s"), ("memory (aim 90 MB)", f"{megabytes:.0f} MB")],
    )


def weight() -> str:
    """Processor seconds and megabytes of a fresh door."""
    done = subprocess.run([sys.executable, "-c", WEIGHT], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


@contextmanager
def door(stub: StubPlatform) -> Iterator[tuple[str, int]]:
    """A door in a process of its own, in front of the stub; its address and its number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(stub) as platform, tempfile.TemporaryDirectory() as folder:
        told = {
            "RUNPOD_ENDPOINT_BASE_URL": f"http://127.0.0.1:{platform}/v2",
            "RUNPOD_ENDPOINT_ID": "ep",
            "RUNPOD_API_KEY": KEY,
            "FOOOCUS_DATA_DIR": folder,
            "SHIM_QUEUE_SIZE": "1000",
            "SHIM_LOG_LEVEL": "warning",
        }
        command = [sys.executable, "-c", DOOR, "--persistent", "--port", str(port)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT, text=True)
        assert process.stdin is not None
        process.stdin.write("\n".join(f"{name}={value}" for name, value in told.items()))
        process.stdin.close()
        try:
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait()


async def asked(url: str, clients: int, questions: int, process: int | None = None) -> Findings:
    """What so many clients saw. They begin within a second, each at its own moment."""
    findings, chance = Findings(), random.Random(1)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as session:
        await _answering(session)
        moments = [chance.random() for _ in range(clients)]
        before = _processor_s(process)
        await asyncio.gather(*(_client(session, findings, questions, moment) for moment in moments))
        findings.processor_s = _processor_s(process) - before
        async with session.get("/v1/generation/job-history") as reply:
            history = (await reply.json())["history"]
    findings.ended = [_times(item) for item in history]
    return findings


def _processor_s(process: int | None) -> float:
    """Seconds of processor time that a process has taken; 0 for none of ours."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _answering(session: aiohttp.ClientSession) -> None:
    for _ in range(600):
        try:
            async with session.get("/ping"):
                return
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.1)
    raise SystemExit("the door does not answer")


async def _client(session: aiohttp.ClientSession, findings: Findings, questions: int, moment: float) -> None:
    await asyncio.sleep(moment)
    body = {"prompt": "a boat", "async_process": True, "image_seed": 1}
    async with session.post(T2I, json=body) as reply:
        findings.statuses[reply.status] += 1
        job_id = (await reply.json())["job_id"]
    for number in range(questions):
        await asyncio.sleep(1)
        path = QUESTIONS[number % len(QUESTIONS)]
        started = time.perf_counter()
        async with session.get(path, params={"job_id": job_id} if path == QUERY else None) as reply:
            await reply.read()
            findings.statuses[reply.status] += 1
        findings.seconds.append(time.perf_counter() - started)


def _times(item: dict[str, object]) -> tuple[int, int, str]:
    task = item.get("task_info")
    assert isinstance(task, dict), "the history is not in its long form: start the door with --persistent"
    return int(task["task_in_queue_mills"]), int(task["task_start_mills"]), str(task["task_id"])


def in_order(findings: Findings) -> str:
    """How many of the jobs that ended were begun no earlier than the one submitted before."""
    begun = [started for _, started, _ in sorted(findings.ended)]
    return f"{len(begun) - sum(a > b for a, b in pairwise(begun))} of {len(begun)}"


if __name__ == "__main__":
    main()
