"""Many mixed jobs through one worker: python -m benchmarks.soak [--jobs N]

The deployed worker with the shipped model, against a platform on loopback: pictures of several sizes and formats,
few-step LoRAs, bad requests, lists, cancels. Printed is what grows: resident memory per job after the first 50, open
files, threads, temporary files. Ends with status 1 if memory grows too fast, a job has no end, the platform's rules
were broken or a file was left.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import report
from tests.worker.process import ROOT, environment, worker
from tests.worker.standin import StandIn

FIRST = 50  # jobs whose growth is warming up
MOST_KB = 500.0  # of resident memory that each later job may add
HOLD_S = 3.0  # the worker leaves when its open request is answered
AHEAD = 3  # jobs queued at a time
PICTURE: dict[str, Any] = {"endpoint": "text-to-image", "preset": "starter", "prompt": "a red cat"}
CANCELLED = {"prompt": "a job that is given up"}


@dataclass(frozen=True)
class Sample:
    """A worker after a job."""

    jobs: int
    memory_kb: int
    files: int
    threads: int


@dataclass(frozen=True)
class Outcome:
    """A whole soak."""

    samples: list[Sample]
    states: dict[str, int]
    violations: list[str]
    left_files: list[str]
    """In the folder for temporary files, after the worker has ended."""
    exit_code: int

    @property
    def good(self) -> bool:
        ended = set(self.states) <= {"completed", "failed", "cancelled"}
        return ended and not self.violations and not self.left_files and self.exit_code == 0


def main() -> None:
    """Soak, print, and judge."""
    parser = argparse.ArgumentParser(description="Many mixed jobs through one worker.")
    parser.add_argument("--jobs", type=int, default=500)
    jobs = parser.parse_args().jobs
    outcome = asyncio.run(soaked(jobs))
    later = [sample for sample in outcome.samples if sample.jobs > min(FIRST, jobs // 2)]
    first, last = later[0], later[-1]
    report(
        f"{jobs} mixed jobs: {', '.join(f'{count} {state}' for state, count in sorted(outcome.states.items()))}",
        [
            (
                f"resident memory, growth per job after the first {first.jobs - 1}",
                f"{slope_kb(later):+.1f} kB (at most {MOST_KB:g})",
            ),
            ("resident memory, then and at the end", f"{first.memory_kb // 1024} MB, {last.memory_kb // 1024} MB"),
            ("open files, then and at the end", f"{first.files}, {last.files}"),
            ("threads, then and at the end", f"{first.threads}, {last.threads}"),
            ("temporary files left", str(len(outcome.left_files))),
            ("rules of the platform broken", str(len(outcome.violations))),
        ],
    )
    sys.exit(not outcome.good or slope_kb(later) > MOST_KB)


def slope_kb(samples: list[Sample]) -> float:
    """Least-squares growth of resident memory for each job."""
    numbers = [float(sample.jobs) for sample in samples]
    return statistics.linear_regression(numbers, [float(sample.memory_kb) for sample in samples]).slope


def mixed(jobs: int) -> Iterator[dict[str, Any]]:
    """The inputs, in a fixed order."""
    kinds: tuple[dict[str, Any], ...] = (
        picture(64, 2),
        picture(192, 2, save_extension="webp"),
        picture(64, 2, image_number=2, save_extension="jpeg"),
        {"endpoint": "styles"},
        picture(128, 2, performance_selection="Lightning"),
        picture(64, 2, sharpness=31),  # out of range
        picture(96, 2, style_selections=["Fooocus V2"]),
        picture(64, 200, **CANCELLED),
        {"endpoint": "all-models"},
        {"endpoint": "nothing"},
    )
    for number in range(jobs):
        yield {**kinds[number % len(kinds)], "image_seed": number}


def picture(side: int, steps: int, **fields: Any) -> dict[str, Any]:
    """A request for a small picture."""
    size = {"aspect_ratios_selection": f"{side}*{side}", "advanced_params": {"overwrite_step": steps}}
    return PICTURE | size | fields


async def soaked(jobs: int) -> Outcome:
    """Send the jobs, a few ahead; look at the worker after each."""
    samples = []
    with tempfile.TemporaryDirectory() as home:
        async with (
            StandIn(hold_s=HOLD_S).served() as platform,
            worker((str(ROOT / "handler.py"),), environment(platform.port, Path(home))) as process,
        ):
            waiting: list[str] = []
            for number, given in enumerate(mixed(jobs), start=1):
                waiting.append(platform.submit(f"j{number}", input=given).id)
                if len(waiting) >= AHEAD:
                    await _end(platform, waiting.pop(0))
                    samples.append(_sample(number, process.pid))
            for id in waiting:
                await _end(platform, id)
            process.terminate()
            code = await process.exit_code()
        left = [str(path.relative_to(home)) for path in Path(home).rglob("*") if path.is_file()]
    states = [job.state for job in platform.jobs.values()]
    counts = {state: states.count(state) for state in set(states)}
    return Outcome(samples, counts, platform.violations, left, code)


async def _end(platform: StandIn, id: str) -> None:
    """Wait for the end of a job; one that is meant for it is cancelled once it has begun."""
    job = platform.jobs[id]
    if job.fields["input"].get("prompt") == CANCELLED["prompt"]:
        await platform.until(lambda: job.progress or job.over)
        platform.stop(id)
    await platform.ended(id)


def _sample(jobs: int, pid: int) -> Sample:
    process = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    files = len(list((process / "fd").iterdir()))
    return Sample(jobs, int(status["VmRSS"].split()[0]), files, int(status["Threads"]))


if __name__ == "__main__":
    main()
