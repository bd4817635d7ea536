"""How a worker process ends, and that nothing it has taken is lost. The engine is scripted; each test has a process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.shim.receiver import receiver
from tests.worker.process import SCRIPTED, environment, worker
from tests.worker.standin import StandIn

HOLD_S = 3.0  # a worker that leaves waits for an open poll, in case it brings a job


@asynccontextmanager
async def started(home, **settings):
    """A stand-in, and a worker that polls it."""
    async with (
        StandIn(hold_s=HOLD_S).served() as platform,
        worker(SCRIPTED, environment(platform.port, home, **settings)) as process,
    ):
        try:
            await platform.until(lambda: platform.polling)
            yield platform, process
        except TimeoutError:
            pytest.fail(process.output)


def in_order(platform, process, code):
    """The end is one without a trace of trouble."""
    assert code == 0, process.output
    assert "Traceback" not in process.output, process.output
    assert platform.violations == []


def test_an_idle_worker_still_runs_what_its_open_poll_brings_and_then_leaves(tmp_path):
    async def scenario():
        async with started(tmp_path) as (platform, process):
            process.terminate()
            await process.printed("no more jobs are taken")
            last = platform.submit("last", input={"do": [["steps", 3]]})
            code = await process.exit_code()
            return platform, process, code, last

    platform, process, code, last = asyncio.run(scenario())
    in_order(platform, process, code)
    assert (last.state, last.taken) == ("completed", 1)


def test_an_idle_worker_leaves_when_its_poll_is_over(tmp_path):
    async def scenario():
        async with started(tmp_path) as (platform, process):
            process.terminate()
            return platform, process, await process.exit_code()

    in_order(*asyncio.run(scenario()))


def test_running_and_prefetched_jobs_are_finished_and_no_other_is_taken(tmp_path):
    released = tmp_path / "released"

    async def scenario():
        async with started(tmp_path, FOOOCUS_SLOTS="2") as (platform, process):
            jobs = [platform.submit(id, input={"do": [["hold", str(released)]]}) for id in ("running", "prefetched")]
            await platform.until(lambda: all(job.progress for job in jobs))  # both have begun, one waits for its turn
            process.terminate()
            await process.printed("no more jobs are taken")
            left = platform.submit("left", input={"do": [["steps", 3]]})
            released.touch()
            code = await process.exit_code()
            return platform, process, code, jobs, left

    platform, process, code, jobs, left = asyncio.run(scenario())
    in_order(platform, process, code)
    assert [(job.state, job.taken) for job in jobs] == [("completed", 1)] * 2
    assert (left.state, left.taken) == ("queued", 0)


def test_a_webhook_that_hangs_keeps_neither_the_reply_nor_the_process(tmp_path):
    async def scenario():
        settings = {"FOOOCUS_SLOTS": "1", "FOOOCUS_ALLOW_PRIVATE_URLS": "on"}
        with receiver() as hook:
            hook.answers.append("hang")
            async with started(tmp_path, **settings) as (platform, process):
                job = platform.submit("told", input={"do": [["tell", hook.url]]})
                (told,) = await asyncio.to_thread(hook.wait_for, 1)
                process.terminate()
                code = await asyncio.wait_for(process.exit_code(), 12)  # a try alone takes 15 s, all of them 80 s
                return platform, process, code, job, told

    platform, process, code, job, told = asyncio.run(scenario())
    in_order(platform, process, code)
    assert told == {"job_id": "told", "job_result": [{"url": "https://bucket.example/0.png", "seed": "7"}]}
    assert job.output["job_result"] == [{"url": "https://bucket.example/0.png", "seed": "7"}]
    assert job.output["warnings"] == ["webhook_url was not told: it did not arrive before this worker left"]


def test_after_a_device_error_the_worker_asks_to_be_replaced_and_leaves(tmp_path):
    async def scenario():
        async with started(tmp_path) as (platform, process):
            job = platform.submit("broken", input={"do": [["raise", "CUDA error: an illegal memory access"]]})
            return platform, process, await process.exit_code(), job

    platform, process, code, job = asyncio.run(scenario())
    assert code == 0, process.output
    assert job.error == {"status": 500, "type": "internal_error", "detail": "Internal Server Error"}
    assert job.result["stopPod"] is True
    assert platform.stop_pods == 1


def test_a_batch_with_a_job_without_id_ends_the_sdk_and_the_process_with_it(tmp_path):
    """Not ours to catch: the SDK's own loop stops. What counts is that the process does not linger without it."""

    async def scenario():
        async with started(tmp_path) as (platform, process):
            platform.spoil_takes('[{"input": {}}]')
            await platform.until(lambda: not platform.take_faults)
            return process, await process.exit_code()

    process, code = asyncio.run(scenario())
    assert code == 1
    assert "KeyError: 'id'" in process.output


def test_an_unfit_worker_says_why_and_takes_no_job(tmp_path):
    (tmp_path / "unfit").touch()

    async def scenario():
        async with StandIn().served() as platform:
            job = platform.submit("waiting", input={"do": [["steps", 3]]})
            async with worker(SCRIPTED, environment(platform.port, tmp_path)) as process:
                return platform, job, await process.exit_code()

    platform, job, code = asyncio.run(scenario())
    assert code == 1
    assert platform.takes == []
    assert job.taken == 0
    (ping,) = platform.pings
    assert (ping["status"], ping["check"], ping["reason"]) == ("unhealthy", "models", "RuntimeError: no model")
