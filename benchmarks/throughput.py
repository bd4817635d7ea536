"""How busy the engine of an SDK worker is, with one slot and with two: python -m benchmarks.throughput [--jobs N]

Each job works alone with the device for 1.5 s and then encodes and uploads for 0.4 s. Both are waits, as the device
and the network are for the processor; everything around them is the worker as deployed, against a platform on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from benchmarks.measure import report
from tests.worker.process import SCRIPTED, environment, worker
from tests.worker.standin import StandIn

WORK_S = 1.5
AFTER_S = 0.4
AIM = 0.9  # of the time, with two slots


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure how busy the engine is.")
    parser.add_argument("--jobs", type=int, default=12, help="jobs of each measurement")
    jobs = parser.parse_args().jobs
    shares = {slots: asyncio.run(busy_share(slots, jobs)) for slots in (1, 2)}
    report(
        f"{jobs} jobs of {WORK_S} s engine work and {AFTER_S} s encoding and upload: share of time the engine is busy",
        [
            ("one slot", f"{100 * shares[1]:.1f} %"),
            (f"two slots (aim {100 * AIM:.0f} %)", f"{100 * shares[2]:.1f} %"),
        ],
    )


async def busy_share(slots: int, jobs: int) -> float:
    """Work over time, from the begin of the first job's work to the end of the last one's."""
    do = {"do": [["turn", WORK_S], ["busy", AFTER_S]]}
    with tempfile.TemporaryDirectory() as home:
        async with StandIn().served() as platform:
            variables = environment(platform.port, Path(home), FOOOCUS_SLOTS=str(slots))
            async with worker(SCRIPTED, variables):
                for number in range(jobs):
                    platform.submit(f"j{number}", input=do)
                await platform.ended()
    spans = [job.output for job in platform.jobs.values()]
    whole = max(span["ended"] for span in spans) - min(span["began"] for span in spans)
    return float(sum(span["ended"] - span["began"] for span in spans) / whole)


if __name__ == "__main__":
    main()
