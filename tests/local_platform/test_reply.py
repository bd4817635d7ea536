"""What clients are told of a job."""

import json

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.job import PlatformJob, State
from fooocus_engine.local_platform.reply import status_text, webhook_body

WAITING = PlatformJob("j", False, queued_ms=1000, vanish_ms=1000 + limits.TTL_MS, webhook="https://h.example/?s=1")
RUNNING = WAITING.taken("w", 1500)


def told(*args):
    return json.loads(status_text(*args))


def test_a_waiting_job_has_an_id_and_a_status():
    assert told(WAITING) == {"id": "j", "status": "IN_QUEUE"}


def test_a_running_job_shows_its_last_progress_as_output():
    expected = {"id": "j", "status": "IN_PROGRESS", "delayTime": 500, "workerId": "w"}
    assert told(RUNNING) == expected
    assert told(RUNNING, '{"job_progress":5}') == {**expected, "output": {"job_progress": 5}}


def test_an_ended_job_shows_times_and_result():
    done = RUNNING.finished(State.COMPLETED, 1900)
    times = {"delayTime": 500, "executionTime": 400, "workerId": "w"}
    assert told(done, "[1]", None) == {"id": "j", "status": "COMPLETED", **times, "output": [1]}
    assert told(done) == {"id": "j", "status": "COMPLETED", **times}
    failed = RUNNING.finished(State.FAILED, 1900)
    assert told(failed, None, "no") == {"id": "j", "status": "FAILED", **times, "error": "no"}


def test_retries_are_told_only_when_there_were_some():
    assert told(RUNNING.lost(2000)) == {"id": "j", "status": "IN_QUEUE", "retries": 1}


def test_a_webhook_is_sent_the_status_with_the_whole_input():
    done = RUNNING.finished(State.COMPLETED, 1900)
    handed = '{"id":"j","input":{"prompt":"x"},"s3Config":{"accessSecret":"secret"}}'
    body = json.loads(webhook_body(done, "[1]", None, handed))
    assert body == told(done, "[1]") | {"input": {"prompt": "x"}, "webhook": "https://h.example/?s=1"}
