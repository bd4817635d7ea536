"""``python -m benchmarks.api``: how fast the HTTP door starts, and what 200 clients see of it.

The door runs in a process of its own. It is measured beside a stub platform whose worker answers at once, and once more
as the drop-in server while the shipped model paints (``--only stub``, ``--only painting``; ``--url`` asks a door that
runs already). Each client submits a job and then asks about jobs about once a second.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
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
from tests.e2e.drop_in import drop_in, free_ports, shipped_model_with_loras
from tests.shim.live import serving
from tests.shim.process import started
from tests.shim.stub_platform import StubPlatform

T2I, QUERY, QUEUE = "/v1/generation/text-to-image", "/v1/generation/query-job", "/v1/generation/job-queue"
HISTORY = "/v1/generation/job-history"
QUESTIONS = (QUERY, QUERY, QUERY, QUEUE, QUERY, f"{HISTORY}?page=0")
"""What a client asks in turn."""
JOB = {
    "prompt": "a red boat", "async_process": True, "image_seed": 1, "style_selections": [], "loras": [],
    "aspect_ratios_selection": "64*64", "advanced_params": {"overwrite_step": 4, "inpaint_engine": "None"},
}  # fmt: skip
ROOMY = {"SHIM_QUEUE_SIZE": "1000", "SHIM_LOG_LEVEL": "info", "SHIM_PERSISTENT": "on"}
MB = 1024


@dataclass
class Findings:
    """What the clients saw."""

    seconds: list[float] = field(default_factory=list)
    """Of each question about status."""
    submits: list[float] = field(default_factory=list)
    """Seconds of each submit."""
    statuses: Counter[int] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """Submits that came to nothing, by the reason given."""
    ended: list[tuple[int, int, str]] = field(default_factory=list)
    """Of ended jobs: when they were submitted and begun, and their ids."""
    open_at_last: int = 0
    """Jobs that had not ended when the last question was answered."""
    processor_s: float = 0.0
    """Of the door, over all requests."""


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--questions", type=int, default=10, help="of each client")
    parser.add_argument("--only", choices=("stub", "painting"))
    parser.add_argument("--url", help="a door that runs already; none is started")
    given = parser.parse_args()
    asking = given.clients, given.questions
    if given.url:
        tell(f"The door at {given.url}", asyncio.run(asked(given.url, *asking)))
        return
    if given.only != "painting":
        beside_stub(*asking)
    if given.only != "stub":
        beside_painting(*asking)


def beside_stub(clients: int, questions: int) -> None:
    """Measure a door whose platform and worker cost next to nothing; and its start."""
    stub = StubPlatform()
    with door(stub) as (url, process):
        findings = asyncio.run(asked(url, clients, questions, process))
        peak = memory_mb(process)
    assert [job_id for _, _, job_id in sorted(findings.ended)] == list(stub.jobs), "the platform's order is another"
    tell("Beside a stub worker (aim: p99 below 50 ms)", findings, ("most memory of the door", f"{peak:.0f} MB"))


def beside_painting(clients: int, questions: int) -> None:
    """Measure the drop-in server while its worker paints."""
    with tempfile.TemporaryDirectory() as folder:
        shipped_model_with_loras(Path(folder) / "models")
        with drop_in(Path(folder), FOOOCUS_PRESET="starter", **ROOMY) as server:
            findings = asyncio.run(asked(server.url, clients, questions, server.process))
    tell("Beside the shipped model at work (aim: p99 below 250 ms)", findings)


def tell(title: str, findings: Findings, *more: tuple[str, str]) -> None:
    """Report."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    wrong = sum(count for status, count in findings.statuses.items() if status >= 500)
    cost = 1000 * findings.processor_s / findings.statuses.total()
    report(
        f"{title}\n  load of the machine: {load} on {os.cpu_count()} processors",
        [
            ("questions about status", str(len(findings.seconds))),
            ("median", percentile(findings.seconds, 0.5)),
            ("p99", percentile(findings.seconds, 0.99)),
            ("longest", percentile(findings.seconds, 1)),
            ("longest submit", percentile(findings.submits, 1)),
            ("processor time of the door for each request", f"{cost:.2f} ms"),
            ("answers of 5xx (aim 0)", str(wrong)),
            ("jobs open when the last question was answered", str(findings.open_at_last)),
            ("jobs begun no earlier than the one submitted before (aim all)", in_order(findings)),
            *((f"submits refused: {reason}", str(count)) for reason, count in findings.refusals.items()),
            *more,
        ],
    )


@contextmanager
def door(stub: StubPlatform) -> Iterator[tuple[str, int]]:
    """A door in front of the stub, its address and its number; what its start took is reported."""
    (port,) = free_ports(1)
    with serving(stub) as platform, tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        process = started(Path(folder), port, platform, **ROOMY)
        wall = time.perf_counter() - began
        report(
            "Start of the door, a fresh process without torch",
            [
                ("until it answers (aim 1.5 s)", f"{wall:.2f} s"),
                ("processor time of that", f"{processor_s(process.pid):.2f} s"),
                ("memory (aim 90 MB)", f"{memory_mb(process.pid):.0f} MB"),
            ],
        )
        try:
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait()


def processor_s(process: int | None) -> float:
    """Seconds of processor time that a process has taken; 0 for none of ours."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(process: int) -> float:
    """The most memory that a process has held."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / MB for line in lines if line.startswith("VmHWM"))


async def asked(url: str, clients: int, questions: int, process: int | None = None) -> Findings:
    """What so many clients saw, and the order in which all of their jobs were begun. They begin within a second."""
    findings, chance = Findings(), random.Random(1)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector, timeout=aiohttp.ClientTimeout(total=900)) as session:
        before = processor_s(process)
        moments = [chance.random() for _ in range(clients)]
        ids = await asyncio.gather(*(_client(session, findings, questions, moment) for moment in moments))
        findings.processor_s = processor_s(process) - before
        async with session.get(QUEUE) as reply:
            findings.open_at_last = (await reply.json())["running_size"]
        for job_id in filter(None, ids):
            await _ended(session, job_id)
        async with session.get(HISTORY) as reply:
            findings.ended = [_times(item) for item in (await reply.json())["history"]]
    return findings


async def _client(session: aiohttp.ClientSession, findings: Findings, questions: int, moment: float) -> str:
    """One client: the id of its job; empty if it was refused."""
    await asyncio.sleep(moment)
    began = time.perf_counter()
    async with session.post(T2I, json=JOB) as reply:
        findings.statuses[reply.status] += 1
        told = await reply.json()
    findings.submits.append(time.perf_counter() - began)
    job_id = told.get("job_id", "")
    if not job_id:
        findings.refusals[str(told.get("detail") or told["job_result"])] += 1
    for number in range(questions):
        await asyncio.sleep(1)
        path = QUESTIONS[number % len(QUESTIONS)] if job_id else QUEUE
        began = time.perf_counter()
        async with session.get(path, params={"job_id": job_id} if path == QUERY else None) as reply:
            await reply.read()
            findings.statuses[reply.status] += 1
        findings.seconds.append(time.perf_counter() - began)
    return job_id


async def _ended(session: aiohttp.ClientSession, job_id: str) -> None:
    while True:
        async with session.get(QUERY, params={"job_id": job_id, "wait": 60}) as reply:
            stage = (await reply.json())["job_stage"]
        assert stage != "ERROR", f"job {job_id} failed"
        if stage == "SUCCESS":
            return


def _times(item: dict[str, object]) -> tuple[int, int, str]:
    task = item.get("task_info")
    assert isinstance(task, dict), "the history is not in its long form: start the door with --persistent"
    return int(task["task_in_queue_mills"]), int(task["task_start_mills"]), str(task["task_id"])


def percentile(seconds: list[float], share: float) -> str:
    """The time that this share of ``seconds`` does not exceed."""
    ordered = sorted(seconds)
    return f"{1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]:.1f} ms"


def in_order(findings: Findings) -> str:
    """How many of the jobs were begun no earlier than the one submitted before.

    A begin is known as late as the door noted the submit: by the time that a submit takes.
    """
    begun, unsure_ms = [at for _, at, _ in sorted(findings.ended)], 1000 * max(findings.submits)
    return f"{len(begun) - sum(a > b + unsure_ms for a, b in pairwise(begun))} of {len(begun)}"


if __name__ == "__main__":
    main()
