"""The record of a job, change by change."""

import pytest

from fooocus_engine.jobs.record import FinishReason, JobRecord, JobStage

WAITING = JobRecord("j", "Text to Image", in_queue_ms=1000)
RUNNING = WAITING.running(1500, 20, "Step 1/4")
ENDS = {
    "success": lambda record: record.succeeded(3000, ({"url": "u"},)),
    "failure": lambda record: record.failed(3000, "no memory"),
    "cancel": lambda record: record.cancelled(3000),
}


def test_a_new_record_waits():
    assert (WAITING.stage, WAITING.progress, WAITING.status, WAITING.start_ms) == (JobStage.WAITING, 0, None, None)


def test_running_keeps_the_time_it_was_first_seen():
    again = RUNNING.running(1800, 30, "Step 2/4")
    assert (again.stage, again.progress, again.status, again.start_ms) == (JobStage.RUNNING, 30, "Step 2/4", 1500)


@pytest.mark.parametrize(("told", "shown"), [(10, 20), (20, 20), (55, 55), (100, 99), (-5, 20)])
def test_progress_never_falls_and_stays_below_a_hundred_while_running(told, shown):
    assert RUNNING.running(1600, told, "").progress == shown


def test_success_is_complete():
    end = ENDS["success"](RUNNING)
    assert (end.stage, end.progress, end.status) == (JobStage.SUCCESS, 100, "Finished")
    assert (end.finish_reason, end.finish_ms, end.result) == (FinishReason.SUCCESS, 3000, ({"url": "u"},))


@pytest.mark.parametrize(
    ("end", "reason", "status"),
    [("failure", FinishReason.ERROR, "Error: no memory"), ("cancel", FinishReason.USER_CANCEL, "Cancelled")],
)
@pytest.mark.parametrize("record", [WAITING, RUNNING])
def test_the_other_ends_keep_the_last_progress(record, end, reason, status):
    ended = ENDS[end](record)
    assert (ended.stage, ended.finish_reason, ended.status) == (JobStage.ERROR, reason, status)
    assert (ended.progress, ended.finish_ms, ended.result) == (record.progress, 3000, ())


@pytest.mark.parametrize("first", ENDS)
def test_an_end_never_changes(first):
    ended = ENDS[first](RUNNING)
    assert ended.ended
    assert [change(ended) for change in ENDS.values()] == [ended] * 3
    assert ended.running(4000, 50, "late") is ended


def test_the_times_of_the_platform_replace_those_of_the_onlooker():
    timed = ENDS["success"](RUNNING).timed(1400, 2900)
    assert (timed.in_queue_ms, timed.start_ms, timed.finish_ms, timed.stage) == (1000, 1400, 2900, JobStage.SUCCESS)
