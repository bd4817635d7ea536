"""What passes to the platform."""

import json
from enum import IntEnum, StrEnum

import pytest

from fooocus_engine.errors import (
    EngineError,
    GpuOutOfMemory,
    InvalidRequest,
    JobCanceled,
    Problem,
    ReplyTooLarge,
    UnknownName,
)
from fooocus_engine.worker.reply import UnsendableReply, checked_reply, failure, needs_new_worker

JOB = "4f2-u1"


class Name(StrEnum):
    A = "a"


class Number(IntEnum):
    ONE = 1


class Refresh(EngineError):
    refresh_worker = True


def sent(value):
    """``value`` as a client gets it."""
    return json.loads(json.dumps(value, allow_nan=False, ensure_ascii=False).encode())


@pytest.mark.parametrize(
    ("output", "plain"),
    [
        ({"a": (1, 2.5, (None, True))}, {"a": [1, 2.5, [None, True]]}),
        (["a", "猫 😀"], ["a", "猫 😀"]),
        ({"a": Name.A, "b": Number.ONE}, {"a": "a", "b": 1}),
        ("half \ud83d pair", "half \ufffd pair"),
        ("whole \ud83d\ude00 pair", "whole 😀 pair"),
        ({"\udc00": 1}, {"\ufffd": 1}),
        (None, None),
    ],
)
def test_results_become_json_that_utf8_can_hold(output, plain):
    assert sent(checked_reply(output, JOB)) == plain


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (b"bytes", "a bytes"),
        ({1, 2}, "a set"),
        (ValueError("secret"), "a ValueError"),
        ({1: "key"}, "1"),
        ({None: "key"}, "a NoneType"),
    ],
)
def test_what_is_no_json_is_refused_by_its_kind(value, shown):
    with pytest.raises(UnsendableReply) as refused:
        checked_reply({"deep": [value]}, JOB)
    assert f"holds {shown}," in str(refused.value)


@pytest.mark.parametrize(("job_id", "limit"), [(JOB, 9_000_000), ("sync-" + JOB, 18_000_000)])
def test_a_reply_passes_up_to_the_limit_of_its_kind_of_job(job_id, limit):
    envelope = len('{"output": ""}')
    checked_reply("x" * (limit - envelope), job_id)
    with pytest.raises(ReplyTooLarge, match=r"image_number.*save_extension"):
        checked_reply("x" * (limit - envelope + 1), job_id)


def test_size_is_measured_in_bytes_not_characters():
    with pytest.raises(ReplyTooLarge):
        checked_reply("猫" * 3_000_001, JOB)


def test_a_reply_that_is_too_large_fails_as_413():
    with pytest.raises(ReplyTooLarge) as refused:
        checked_reply("x" * 9_000_000, JOB)
    fields = json.loads(failure(refused.value)["error"])
    assert (fields["status"], fields["type"]) == (413, "reply_too_large")


def test_a_failure_is_compact_json_text():
    error = UnknownName("style", "Fooo", ["Fooocus V2"], ("body", "style_selections", 0))
    reply = failure(error)
    assert list(reply) == ["error"]
    assert ": " not in reply["error"].replace("near matches: ", "")
    assert json.loads(reply["error"])["detail"][0]["loc"] == ["body", "style_selections", 0]


def test_a_failure_survives_whatever_the_client_sent():
    problem = Problem("bad", ("body", "x"), "bad \ud800", [float("nan"), float("inf"), "\udfff", b"raw"])
    detail = json.loads(failure(InvalidRequest([problem]))["error"])["detail"]
    assert detail[0]["input"] == ["nan", "inf", "?", "b'raw'"]


def test_a_failure_stays_short_whatever_the_client_sent():
    problems = [Problem("bad", ("body", "loras", n), "x", "y" * 10_000) for n in range(10_000)]
    assert len(failure(InvalidRequest(problems))["error"]) < 50_000


def test_an_unexpected_error_tells_nothing():
    assert json.loads(failure(RuntimeError("/secret/path"))["error"]) == {
        "status": 500,
        "type": "internal_error",
        "detail": "Internal Server Error",
    }


def test_a_canceled_job_says_so():
    assert json.loads(failure(JobCanceled("j"))["error"])["detail"] == "USER_CANCEL"


def test_a_broken_device_asks_for_a_new_worker_also_from_behind_another_error():
    device = RuntimeError("CUDA error: an illegal memory access was encountered")
    outer = EngineError("sampling failed")
    outer.__cause__ = device
    for error in (device, outer, Refresh("gone")):
        assert needs_new_worker(error)
        assert failure(error)["refresh_worker"] is True


@pytest.mark.parametrize("error", [GpuOutOfMemory("CUDA out of memory"), ValueError("x"), JobCanceled("j")])
def test_other_errors_keep_the_worker(error):
    assert "refresh_worker" not in failure(error)
