"""The state machine of a job, change by change."""

import pytest

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.job import OPEN, PlatformJob, State
from fooocus_engine.local_platform.refusals import BadRequest

WAITING = PlatformJob("j", False, queued_ms=1000, vanish_ms=1000 + limits.TTL_MS, webhook="http://h.example")
RUNNING = WAITING.taken("w", 1500)
ENDS = [state for state in State if state not in OPEN]


def test_a_taken_job_belongs_to_its_worker_until_its_lease_ends():
    assert RUNNING.held_by("w")
    assert not RUNNING.held_by("v")
    assert (RUNNING.started_ms, RUNNING.lease_ms, RUNNING.delay_ms) == (1500, 1500 + limits.LEASE_MS, 500)


def test_a_sign_of_its_worker_moves_the_end_of_the_lease():
    assert RUNNING.renewed(9000).lease_ms == 9000 + limits.LEASE_MS


def test_a_returned_job_is_as_before():
    assert RUNNING.returned() == WAITING


def test_a_lost_job_is_queued_once_more_in_its_old_place_and_then_fails():
    again = RUNNING.lost(5000)
    assert (again.state, again.retries, again.queued_ms) == (State.IN_QUEUE, 1, WAITING.queued_ms)
    failed = again.taken("v", 6000).lost(7000)
    assert (failed.state, failed.retries, failed.finished_ms, failed.worker) == (State.FAILED, 1, 7000, None)


@pytest.mark.parametrize("state", ENDS)
def test_an_ended_job_knows_its_times(state):
    ended = RUNNING.finished(state, 4000)
    assert (ended.state, ended.ended, ended.delay_ms, ended.execution_ms) == (state, True, 500, 2500)
    assert not ended.held_by("w")


def test_a_job_that_never_ran_has_no_times():
    ended = WAITING.finished(State.CANCELLED, 4000)
    assert (ended.delay_ms, ended.execution_ms) == (None, None)


@pytest.mark.parametrize(("synchronous", "keep_ms"), [(False, 30 * 60_000), (True, 60_000)])
def test_a_result_is_kept_as_long_as_its_kind_is(synchronous, keep_ms):
    job = PlatformJob("j", synchronous, queued_ms=0, vanish_ms=limits.TTL_MS).taken("w", 10)
    assert job.finished(State.COMPLETED, 1000).vanish_ms == 1000 + keep_ms


def test_a_result_is_never_kept_beyond_the_ttl():
    job = PlatformJob("j", False, queued_ms=0, vanish_ms=20_000)
    assert job.finished(State.CANCELLED, 15_000).vanish_ms == 20_000


@pytest.mark.parametrize("state", [State.FAILED, State.TIMED_OUT])
def test_a_failed_job_can_be_retried_as_if_new(state):
    lost_once = RUNNING.lost(2000).taken("w", 2500)
    again = lost_once.finished(state, 3000).retried(8000)
    assert again == PlatformJob("j", False, queued_ms=8000, vanish_ms=8000 + limits.TTL_MS, webhook=WAITING.webhook)


@pytest.mark.parametrize(
    "job", [WAITING, RUNNING, RUNNING.finished(State.COMPLETED, 2000), RUNNING.finished(State.CANCELLED, 2000)]
)
def test_any_other_job_cannot_be_retried(job):
    with pytest.raises(BadRequest, match=rf"is {job.state}; only FAILED and TIMED_OUT"):
        job.retried(3000)


def test_a_clock_that_is_set_back_gives_no_negative_times():
    ended = WAITING.taken("w", 900).finished(State.COMPLETED, 800)
    assert (ended.delay_ms, ended.execution_ms) == (0, 0)


@pytest.mark.parametrize(
    ("job", "worker", "wanted"),
    [
        (RUNNING, "w", True),
        (RUNNING, "v", False),
        (WAITING, "w", False),
        (RUNNING.finished(State.COMPLETED, 2000), "w", True),
        (RUNNING.finished(State.FAILED, 2000), "w", True),
        (RUNNING.finished(State.CANCELLED, 2000), "w", False),
        (RUNNING.finished(State.TIMED_OUT, 2000), "w", False),
        (RUNNING.lost(2000).taken("v", 2500).lost(3000), "v", False),
    ],
)
def test_a_worker_may_only_have_in_hand_what_it_works_on_or_has_just_ended(job, worker, wanted):
    assert job.wanted_from(worker) is wanted
