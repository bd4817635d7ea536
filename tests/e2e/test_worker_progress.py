"""Progress of 200 jobs on its way from one worker process to the platform, which sees when each update arrives."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from fooocus_engine.worker.progress import PHASE_GAP_S
from tests.worker.process import SCRIPTED, environment, worker
from tests.worker.standin import StandIn

JOBS = 200
SLOTS = 16
INTERVAL_S = 0.4
EARLY_S = 0.001  # by which a timer may fire before its time; a slow machine only makes gaps longer
PHASES = {"do": [["steps", 5], ["busy", 0.3], ["steps", 5], ["busy", 0.15]] * 2}
STEPS = {"do": [["pace", [20, 0.06]]]}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """The jobs at their ends, and the rules that the worker broke: an update that comes after a result is one."""

    async def scenario():
        home = tmp_path_factory.mktemp("home")
        async with StandIn().served() as platform:
            settings = {"FOOOCUS_SLOTS": str(SLOTS), "FOOOCUS_PROGRESS_INTERVAL": str(INTERVAL_S)}
            async with worker(SCRIPTED, environment(platform.port, home, **settings)):
                for number in range(JOBS):
                    platform.submit(f"j{number}", input=STEPS if number % 2 else PHASES)
                await platform.ended()
        return list(platform.jobs.values()), platform.violations

    return asyncio.run(scenario())


def test_every_job_has_told_of_itself_and_nothing_came_after_its_result(told):
    jobs, violations = told
    assert violations == []
    assert {job.state for job in jobs} == {"completed"}
    updates = [len(job.progress) for job in jobs]
    assert min(updates) >= 1
    assert sum(updates) > JOBS


def test_progress_rises_in_order(told):
    for job in told[0]:
        percents = [update["job_progress"] for update in job.progress]
        numbers = [update["n"] for update in job.progress]
        assert percents == sorted(percents)
        assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(("given", "least_s"), [(STEPS, INTERVAL_S), (PHASES, PHASE_GAP_S)], ids=["steps", "phases"])
def test_updates_keep_the_rate(told, given, least_s):
    jobs = [job for job in told[0] if job.fields["input"] == given]
    gaps = [after - before for job in jobs for before, after in pairwise(job.arrivals)]
    assert min(gaps) >= least_s - EARLY_S
