"""What workers post, and what it means."""

import json

import pytest

from fooocus_engine.local_platform.delivery import Final, Progress, read_chunk, read_delivery
from fooocus_engine.local_platform.job import State
from fooocus_engine.local_platform.refusals import BadRequest
from fooocus_engine.local_platform.store import Ending

MB = 1_000_000


def read(body, *, synchronous=False):
    return read_delivery(body if isinstance(body, bytes) else json.dumps(body).encode(), synchronous=synchronous)


@pytest.mark.parametrize(
    ("body", "state", "output", "error"),
    [
        ({"output": {"a": 1}}, "COMPLETED", '{"a":1}', None),
        ({"output": False}, "COMPLETED", "false", None),
        ({"output": []}, "COMPLETED", "[]", None),
        ({}, "COMPLETED", None, None),
        ({"output": None}, "COMPLETED", None, None),
        ({"error": "no"}, "FAILED", None, "no"),
        ({"error": "half \ud800"}, "FAILED", None, "half ?"),
        ({"error": {"type": "x"}}, "FAILED", None, '{"type":"x"}'),
        ({"output": {"rest": 1}, "error": "no"}, "FAILED", '{"rest":1}', "no"),
        ({"output": 1, "error": ""}, "COMPLETED", "1", None),
        ({"output": 1, "status": "COMPLETED"}, "COMPLETED", "1", None),
    ],
)
def test_a_final_body_ends_the_job(body, state, output, error):
    assert read(body) == Final(Ending(State(state), output, error))


def test_a_worker_can_ask_to_be_replaced():
    assert read({"output": 1, "stopPod": True}).stop_worker
    assert not read({"output": 1, "stopPod": False}).stop_worker


@pytest.mark.parametrize(("output", "text"), [({"job_progress": 3}, '{"job_progress":3}'), ("half", '"half"')])
def test_progress_is_told_by_its_status(output, text):
    assert read({"status": "IN_PROGRESS", "output": output}) == Progress(text)


@pytest.mark.parametrize("body", [b"", b'{"output": NaN}', b"[1]", b"a=b&c=d", b'{"output": "\xff"}'])
def test_a_result_that_is_no_json_fails_the_job(body):
    delivery = read(body)
    assert delivery.refused
    assert delivery.ending.state is State.FAILED
    assert "the worker posted no" in delivery.ending.error


@pytest.mark.parametrize(("synchronous", "megabytes"), [(False, 10), (True, 20)])
def test_a_result_over_the_limit_of_its_kind_fails_the_job(synchronous, megabytes):
    fitting = "x" * (megabytes * MB - len(json.dumps({"output": ""})))
    assert read({"output": fitting}, synchronous=synchronous).ending.state is State.COMPLETED
    too_large = read({"output": fitting + "x"}, synchronous=synchronous)
    assert too_large.refused
    assert f"allowed: up to {megabytes} MB" in too_large.ending.error


def test_progress_over_the_limit_is_refused_and_fails_nothing():
    with pytest.raises(BadRequest, match="allowed: up to 10 MB"):
        read({"status": "IN_PROGRESS", "output": "x" * 10 * MB})


def test_a_chunk_has_an_output_and_at_most_a_megabyte():
    assert read_chunk(b'{"output": [1]}') == "[1]"
    assert read_chunk(b"{}") == "null"
    for bad in (b"[]", b"x", json.dumps({"output": "x" * MB}).encode()):
        with pytest.raises(BadRequest):
            read_chunk(bad)
