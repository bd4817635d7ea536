"""The platform between its routes and its store: who is woken, who is stopped, what is forgotten."""

import asyncio
import json
from contextlib import closing

import pytest

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.job import State
from fooocus_engine.local_platform.platform import PAUSE_MS
from tests.local_platform.standing import Standing


@pytest.fixture
def standing(tmp_path):
    with closing(Standing(tmp_path, hold_s=0.01)) as standing:
        yield standing


@pytest.fixture
def patient(tmp_path):
    with closing(Standing(tmp_path)) as standing:
        yield standing


def state(standing, id):
    return standing.store.find(id).state


def stops(standing, worker="w"):
    return asyncio.run(standing.platform.stops(worker))


def test_the_worker_of_a_job_that_is_taken_away_is_told_once(standing):
    id = standing.submit(policy={"executionTimeout": 5000})
    standing.take("w")
    standing.clock.forward(5000)
    standing.platform.tick()
    assert state(standing, id) is State.TIMED_OUT
    assert [stops(standing, "v"), stops(standing), stops(standing)] == [[], [id], []]


def test_a_job_that_vanishes_is_stopped(standing):
    id = standing.submit(policy={"ttl": 10_000})
    standing.take("w")
    standing.clock.forward(10_000)
    standing.platform.tick()
    assert stops(standing) == [id]


def test_a_worker_that_has_ended_its_job_is_not_told_to_stop_it(standing):
    id = standing.submit()
    standing.take("w")
    standing.platform.cancel(standing.submit())
    standing.platform.ping("w", [id])
    assert stops(standing) == []


def test_a_worker_that_is_given_a_job_once_more_is_not_told_to_stop_it(standing):
    id = standing.submit()
    standing.take("w")
    for _ in range(limits.LEASE_MS // PAUSE_MS + 1):
        standing.platform.tick()
        standing.clock.forward(PAUSE_MS)
    assert state(standing, id) is State.IN_QUEUE
    assert len(asyncio.run(standing.platform.take("w", 1))) == 1
    assert stops(standing) == []


def test_silence_during_a_pause_of_the_machine_counts_against_no_worker(standing):
    id = standing.submit(policy={"executionTimeout": limits.EXECUTION_TIMEOUT_RANGE_MS[1]})
    standing.take("w")
    standing.platform.tick()
    standing.clock.forward(100 * limits.LEASE_MS)
    standing.platform.tick()
    assert state(standing, id) is State.IN_PROGRESS
    for _ in range(limits.LEASE_MS // PAUSE_MS):
        standing.clock.forward(PAUSE_MS)
        standing.platform.tick()
    assert state(standing, id) is State.IN_QUEUE


def test_the_jobs_of_a_process_that_ended_go_to_the_next_worker(patient):
    standing = patient
    id = standing.submit()

    async def scene():
        standing.platform.roster.start("local-1")
        await standing.platform.take("local-1", 1)
        taking = asyncio.create_task(standing.platform.take("local-2", 1))
        await asyncio.sleep(0)
        standing.platform.lose("local-1", expected=False)
        return await taking

    (text,) = asyncio.run(scene())
    assert json.loads(text)["id"] == id
    assert standing.store.find(id).retries == 1


async def answered_at_once(platform, worker):
    """What polls that are open are answered, and those that begin afterwards; a hold of theirs would take 25 s."""
    async with asyncio.timeout(10):
        return await asyncio.gather(platform.take(worker, 1), platform.stops(worker))


@pytest.mark.parametrize("ending", [lambda platform: platform.let_go("w"), lambda platform: platform.close()])
def test_who_ends_is_not_kept_waiting_and_gets_no_job(patient, ending):
    async def scene():
        polls = asyncio.create_task(answered_at_once(patient.platform, "w"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        ending(patient.platform)
        patient.submit()
        return await polls, await answered_at_once(patient.platform, "w")

    assert asyncio.run(scene()) == ([[], []], ([[], []]))
    assert len(patient.take()) == 1


def test_a_worker_that_is_let_go_is_still_told_what_to_stop(patient):
    id = patient.submit()
    patient.take("w")
    patient.platform.let_go("w")
    patient.platform.cancel(id)
    assert stops(patient) == [id]


def test_a_poll_in_the_name_of_a_process_that_ended_is_given_nothing(standing):
    standing.platform.lose("w", expected=False)
    id = standing.submit()
    assert asyncio.run(standing.platform.take("w", 1)) == []
    assert state(standing, id) is State.IN_QUEUE


def test_a_job_that_its_worker_could_not_finish_in_an_ordered_end_is_no_retry(standing):
    id = standing.submit()
    standing.take("w")
    standing.platform.dismiss("w")
    standing.platform.lose("w", expected=True)
    job = standing.store.find(id)
    assert (job.state, job.retries) == (State.IN_QUEUE, 0)
