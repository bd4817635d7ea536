"""A platform that takes a request and never answers: the SDK's own limits end the wait, and the worker goes on."""

from __future__ import annotations

import asyncio

import pytest

from tests.worker.process import SCRIPTED, environment, worker
from tests.worker.standin import StandIn

pytestmark = pytest.mark.slow

STEPS = {"do": [["steps", 3]]}


def test_a_request_for_jobs_that_is_never_answered_is_given_up_after_90_seconds(tmp_path):
    async def scenario():
        async with StandIn().served() as platform, worker(SCRIPTED, environment(platform.port, tmp_path)) as process:
            await platform.until(lambda: platform.polling)
            platform.spoil_takes("hang")
            await platform.until(lambda: not platform.take_faults)
            job = platform.submit("j", input=STEPS)
            await platform.ended("j")
            return process.alive, job.state, platform.takes[-1] - platform.takes[-2]

    alive, state, waited = asyncio.run(scenario())
    assert alive
    assert state == "completed"
    assert waited >= 85  # the SDK waits for 90 s; requests arrive with some jitter


@pytest.mark.timeout(1500)
def test_a_result_that_is_never_answered_is_dropped_after_600_seconds_and_comes_back(tmp_path):
    async def scenario():
        async with (
            StandIn(lease=True, patience_s=1200).served() as platform,
            worker(SCRIPTED, environment(platform.port, tmp_path, FOOOCUS_SLOTS="2")) as process,
        ):
            platform.result_faults["j"] = ["hang"]
            job = platform.submit("j", input=STEPS)
            await platform.until(lambda: job.posts == 1)
            other = platform.submit("other", input=STEPS)
            await platform.ended("other")
            open_still = job.state
            await platform.ended("j")
            return process.alive, other.state, open_still, job

    alive, other, open_still, job = asyncio.run(scenario())
    assert alive
    assert (other, open_still) == ("completed", "running")
    assert (job.state, job.posts, job.taken) == ("completed", 2, 2)
