"""One SDK worker through everything that the platform may do wrong. Each fault has one outcome, and the worker, whose
engine is scripted, outlives them all: every test below goes to the same process.

A job whose result could not be delivered is no longer told in the pings, so the platform hands it out again; the
stand-in does so once, as the live platform was seen to (platform.md §6.1).
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from fooocus_engine.worker.taking import FETCH_S
from tests.worker.process import SCRIPTED, environment, worker
from tests.worker.standin import StandIn

SLOTS = 8


@pytest.fixture(scope="module")
def loop():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def running(loop, tmp_path_factory):
    """A stand-in of the platform, and the worker that serves it."""
    stack = AsyncExitStack()

    async def start():
        platform = await stack.enter_async_context(StandIn(lease=True).served())
        variables = environment(platform.port, tmp_path_factory.mktemp("home"), FOOOCUS_SLOTS=str(SLOTS))
        process = await stack.enter_async_context(worker(SCRIPTED, variables))
        await platform.until(lambda: platform.polling)
        return platform, process

    yield loop.run(start())
    loop.run(stack.aclose())


@pytest.fixture
def play(loop, running):
    """Runs a scenario on the platform; afterwards the worker must be alive and must have kept the rules."""
    platform, process = running

    def played(scenario):
        result = loop.run(scenario(platform))
        assert process.alive, process.output
        assert platform.violations == [], process.output
        return result

    return played


RESULT_FAULTS = {
    "nothing": [],
    "400": [400],
    "429": [429],
    "500 once": [500],
    "500 always": [500] * 3,
    "hang": ["hang"],
    "reset": ["reset"],
}


@pytest.fixture(scope="module")
def delivered(loop, running):
    """The jobs of ``RESULT_FAULTS``, all at a time, as their retries take seconds."""
    platform, _ = running

    async def scenario():
        for name, faults in RESULT_FAULTS.items():
            platform.result_faults[name] = list(faults)
            platform.submit(name, input={"do": [["steps", 3]]})
        jobs = {name: platform.jobs[name] for name in RESULT_FAULTS}
        await platform.until(lambda: all(job.posts for job in jobs.values()) and jobs["nothing"].over)
        hanging = jobs["hang"].state
        platform.release()
        await platform.ended(*jobs)
        return jobs, hanging

    return loop.run(scenario())


@pytest.mark.parametrize(
    ("fault", "posts", "taken"),
    [
        ("nothing", 1, 1),
        ("500 once", 2, 1),  # the SDK tries again
        ("400", 2, 2),  # from here on the SDK drops the result, and the job comes back
        ("429", 2, 2),
        ("500 always", 4, 2),
        ("hang", 2, 2),
        ("reset", 2, 2),
    ],
)
def test_a_result_that_is_not_delivered_comes_back_through_the_lease(delivered, fault, posts, taken):
    job = delivered[0][fault]
    assert (job.posts, job.taken, job.state) == (posts, taken, "completed")


def test_a_result_whose_answer_hangs_blocks_its_own_slot_alone(delivered):
    assert delivered[1] == "running"


def test_a_result_waits_while_the_line_is_known_to_be_down(play):
    async def scenario(platform):
        platform.progress_faults["away"] = ["reset", 503, 429]
        job = platform.submit("away", input={"do": [["steps", 3]]})
        await platform.ended("away")
        return job

    job = play(scenario)
    assert (job.posts, job.taken, job.state) == (1, 1, "completed")
    assert len(job.progress) == 1


def test_progress_rises_and_is_over_before_the_result(play):
    async def scenario(platform):
        do = {"do": [["steps", 20], ["busy", 0.01], ["steps", 20]]}
        jobs = [platform.submit(f"p{number}", input=do) for number in range(16)]
        await platform.ended(*(job.id for job in jobs))
        return jobs

    for job in play(scenario):  # the stand-in counts late progress as a violation
        percents = [update["job_progress"] for update in job.progress]
        numbers = [update["n"] for update in job.progress]
        assert percents == sorted(percents)
        assert numbers == sorted(set(numbers))
        assert numbers
        assert job.output == {"job": job.id}


def test_a_job_without_input_in_a_batch_fails_by_name(play):
    async def scenario(platform):
        job = platform.submit("no input", webhook="https://example.org")
        await platform.ended("no input")
        return job

    job = play(scenario)
    assert job.state == "failed"
    assert job.error["status"] == 422
    assert job.error["detail"][0]["loc"] == ["body", "endpoint"]


def test_a_job_without_input_that_comes_alone_is_refused_by_the_sdk_and_given_up_by_the_platform(play, tmp_path):
    """It never reaches this program: a worker with one free slot asks for one job, and then the SDK looks itself."""
    released = tmp_path / "released"

    async def scenario(platform):
        others = [platform.submit(f"h{n}", input={"do": [["hold", str(released)]]}) for n in range(SLOTS - 1)]
        await platform.until(lambda: all(job.progress for job in others) and platform.polling)
        job = platform.submit("alone")
        await platform.ended("alone")
        released.touch()
        await platform.ended(*(job.id for job in others))
        return job, others

    job, others = play(scenario)
    assert (job.state, job.taken, job.posts) == ("failed", 2, 0)
    assert {other.state for other in others} == {"completed"}


def test_a_job_delivered_twice_is_run_once_and_answered_twice(play, running, tmp_path):
    process = running[1]
    begun = '{"requestId": "twice", "message": "Started."'

    async def scenario(platform):
        job = platform.submit("twice", deliveries=2, input={"do": [["hold", str(tmp_path / "released")]]})
        await platform.until(lambda: process.output.count(begun) == 2)
        (tmp_path / "released").touch()
        await platform.until(lambda: job.posts == 2)
        return job

    job = play(scenario)
    assert (job.taken, job.state, process.output.count("job twice runs")) == (2, "completed", 1)


def test_a_reply_that_the_platform_would_lose_fails_naming_what_can_be_changed(play):
    async def scenario(platform):
        platform.submit("large", input={"do": [["kilobytes", 9_001]]})
        platform.submit("sync-large", input={"do": [["kilobytes", 9_001]]})
        await platform.ended("large", "sync-large")
        return platform.jobs

    jobs = play(scenario)
    assert jobs["large"].error["status"] == 413
    assert all(word in jobs["large"].error["detail"] for word in ("image_number", "save_extension", "bucket"))
    assert len(jobs["sync-large"].output) == 9_001_000


def test_an_unexpected_error_tells_a_client_nothing_of_this_machine(play):
    async def scenario(platform):
        job = platform.submit("error", input={"do": [["raise", "/secret/path"]]})
        await platform.ended("error")
        return job

    job = play(scenario)
    assert job.result == {"error": '{"status":500,"type":"internal_error","detail":"Internal Server Error"}'}


def test_cancelled_jobs_let_go_of_the_device_and_nothing_of_them_is_posted(play, running, tmp_path):
    hold = {"do": [["hold", str(tmp_path / "never")]]}

    def at(job, text):
        return job.progress and job.progress[-1]["job_status"].startswith(text)

    async def scenario(platform):
        victim = platform.submit("victim", input=hold)
        await platform.until(lambda: at(victim, "Processing prompts"))  # it holds the device
        waiting = platform.submit("waiting", input=hold)
        await platform.until(lambda: at(waiting, "Loading models"))
        platform.stop("waiting")
        await platform.until(lambda: platform.pings[-1].get("job_id") == "victim")
        for id in ("victim", "victim", "unknown"):
            platform.stop(id)
        following = platform.submit("following", input={"do": [["turn", 0]]})
        await platform.ended("following")
        platform.stop("following")
        later = platform.submit("later", input={"do": [["turn", 0]]})
        await platform.ended("later")
        return victim, waiting, following, later

    victim, waiting, following, later = play(scenario)
    assert (victim.posts, waiting.posts) == (0, 0)
    assert (following.state, later.state) == ("completed", "completed")


def test_a_platform_without_pings_still_gets_its_results(play):
    async def scenario(platform):
        platform.ping_faults.extend([500, "reset", "hang"] * 10)
        job = platform.submit("no pings", input={"do": [["steps", 3]]})
        await platform.ended("no pings")
        platform.ping_faults.clear()
        platform.release()
        return job

    assert play(scenario).taken == 1


TAKE_FAULTS = (204, 400, 500, "no json", "[]", "null", "", "reset")


def test_an_answer_without_a_job_is_asked_again_and_not_a_thousand_times_a_second(play):
    async def scenario(platform):
        await platform.until(lambda: platform.polling)
        before = len(platform.takes)
        platform.spoil_takes(*TAKE_FAULTS)
        await platform.until(lambda: not platform.take_faults)
        platform.submit("after faults", input={"do": [["steps", 3]]})
        await platform.ended("after faults")
        return platform.takes[before : before + len(TAKE_FAULTS)]

    takes = play(scenario)
    pauses = FETCH_S * (len(TAKE_FAULTS) - 1)
    assert takes[-1] - takes[0] > pauses / 2  # it is the worker that pauses; half allows for jitter


def test_a_worker_that_is_told_to_wait_comes_back(play):
    async def scenario(platform):
        platform.spoil_takes(429)
        await platform.until(lambda: not platform.take_faults)
        job = platform.submit("after 429", input={"do": [["steps", 3]]})
        await platform.ended("after 429")
        return job

    assert play(scenario).state == "completed"
