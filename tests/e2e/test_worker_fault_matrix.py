"""Every fault of a take, and pings that do not arrive, crossed with every fault of a result: each job comes to an end,
and one worker outlives them all. What each fault does by itself is in `test_worker_faults.py`.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.worker.process import SCRIPTED, environment, worker
from tests.worker.standin import StandIn

SLOTS = 16  # results that hang keep theirs
TAKES = {"204": 204, "400": 400, "429": 429, "500": 500, "hang": "hang", "garbage": "{no json"}
OTHERS = ("duplicate", "no input", "dead ping")
DONES = {
    "400": [400],
    "429": [429],
    "500 once": [500],
    "500 always": [500] * 3,
    "hang": ["hang"],
    "reset": ["reset"],
}
ENDS = {
    "no input": {"failed"},
    # The SDK forgets it in its pings when the first of its two runs has ended; the platform may give it up meanwhile.
    "duplicate": {"completed", "failed"},
}
PINGS = [500, "reset", "hang"] * 20


def submitted(platform, row):
    """A job for each fault of a result."""
    jobs = []
    for done, faults in DONES.items():
        id = f"{row}, {done}"
        platform.result_faults[id] = list(faults)
        fields = {} if row == "no input" else {"input": {"do": [["steps", 3]]}}
        jobs.append(platform.submit(id, deliveries=2 if row == "duplicate" else 1, **fields))
    return jobs


async def played(platform, row):
    """Let one row happen; its jobs may still be open, for their results come back later."""
    await platform.until(lambda: platform.polling)
    if row in TAKES:
        platform.spoil_takes(TAKES[row])
        await platform.until(lambda: not platform.take_faults)
    if row == "dead ping":
        platform.ping_faults.extend(PINGS)
    jobs = submitted(platform, row)
    if row == "hang":
        platform.release()
    await platform.until(lambda: all(job.posts or job.over for job in jobs))
    platform.ping_faults.clear()
    platform.release()


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """The jobs by id, the rules that the worker broke, and whether it lives and still answers."""

    async def scenario():
        home = tmp_path_factory.mktemp("home")
        async with StandIn(lease=True).served() as platform:
            variables = environment(platform.port, home, FOOOCUS_SLOTS=str(SLOTS))
            async with worker(SCRIPTED, variables) as process:
                for row in (*TAKES, *OTHERS):
                    await played(platform, row)
                await platform.ended()
                last = platform.submit("last", input={"do": [["steps", 3]]})
                await platform.ended("last")
                return platform.jobs, platform.violations, process.alive and last.state == "completed"

    return asyncio.run(scenario())


@pytest.mark.parametrize("done", DONES)
@pytest.mark.parametrize("row", [*TAKES, *OTHERS])
def test_every_job_comes_to_its_end(matrix, row, done):
    job = matrix[0][f"{row}, {done}"]
    assert job.state in ENDS.get(row, {"completed"}), job.result
    assert job.taken <= 2


def test_the_worker_lives_and_has_kept_the_rules(matrix):
    assert matrix[1:] == ([], True)
