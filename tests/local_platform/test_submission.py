"""Bodies of run and runsync."""

import json
import re

import pytest

from fooocus_engine.local_platform.refusals import BadRequest
from fooocus_engine.local_platform.submission import new_id, query_milliseconds, read_submission

NOW = 5_000


def read(body, *, synchronous=False):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_submission(raw, synchronous=synchronous, now_ms=NOW)


def test_a_plain_job_has_the_documented_defaults():
    job = read({"input": {"prompt": "x"}}).job
    assert (job.queued_ms, job.vanish_ms, job.execution_timeout_ms) == (NOW, NOW + 86_400_000, 600_000)
    assert (job.synchronous, job.webhook, job.retries) == (False, None, 0)


@pytest.mark.parametrize("given", ["text", 3, ["a"], None, {}, {"prompt": "ü"}])
def test_any_input_is_handed_on_as_it_is(given):
    submission = read({"input": given})
    assert json.loads(submission.handed) == {"id": submission.job.id, "input": given}


def test_what_concerns_the_worker_is_handed_on_and_nothing_else():
    extras = {"webhook": "https://h.example/x", "policy": {"ttl": 10_000}, "s3Config": {"accessId": "a"}}
    handed = json.loads(read({"input": 1, "unknown": 2, **extras}).handed)
    assert handed.keys() == {"id", "input", *extras}
    assert {name: handed[name] for name in extras} == extras


def test_the_policy_is_kept():
    job = read({"input": 1, "policy": {"executionTimeout": 5000, "ttl": 604_800_000.0, "lowPriority": True}}).job
    assert (job.execution_timeout_ms, job.vanish_ms, job.ttl_ms) == (5000, NOW + 604_800_000, 604_800_000)


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_webhook_is_none(empty):
    assert read({"input": 1, "webhook": empty, "policy": None}).job.webhook is None


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no valid JSON"),
        (b"{", "no valid JSON"),
        (b'{"input": NaN}', "no valid JSON"),
        (b"[1]", "no JSON object"),
        ({"prompt": "x"}, "input is missing"),
        ({"input": 1, "policy": []}, "policy is []; allowed: an object"),
        ({"input": 1, "policy": "x"}, "policy is 'x'; allowed: an object"),
        ({"input": 1, "policy": {"ttl": 9999}}, "policy.ttl is 9999; allowed: 10000 to 604800000"),
        ({"input": 1, "policy": {"executionTimeout": 4999}}, "policy.executionTimeout is 4999; allowed: 5000 to"),
        ({"input": 1, "policy": {"executionTimeout": 604_800_001}}, "allowed: 5000 to 604800000"),
        ({"input": 1, "policy": {"ttl": True}}, "policy.ttl is True; allowed: whole"),
        ({"input": 1, "policy": {"ttl": 10_000.5}}, "policy.ttl is 10000.5; allowed: whole"),
        ({"input": 1, "policy": {"ttl": "1h"}}, "policy.ttl is '1h'"),
        ({"input": 1, "webhook": "ftp://x"}, "webhook is 'ftp://x'; allowed: an http"),
        ({"input": 1, "policy": {"ttl": 10**400}}, "… (401 characters); allowed: 10000 to 604800000"),
        ({"input": 1, "webhook": 7}, "webhook is 7"),
        (b'{"input": 1, "webhook": "http://\\ud800"}', "webhook is 'http://?'"),
        ({"input": 1, "webhook": "http://a\r\nb"}, "webhook is 'http://a"),
        ({"input": 1, "webhook": "http://" + "x" * 3000}, "webhook is 'http://xxx"),
    ],
)
def test_a_bad_body_is_told_what_is_wrong(body, said):
    with pytest.raises(BadRequest, match=re.escape(said)):
        read(body)


@pytest.mark.parametrize(("synchronous", "megabytes"), [(False, 10), (True, 20)])
def test_the_size_of_a_body_is_limited_by_the_kind_of_job(synchronous, megabytes):
    frame = len(json.dumps({"input": ""}))
    fitting = {"input": "x" * (megabytes * 1_000_000 - frame)}
    assert read(fitting, synchronous=synchronous).job.synchronous is synchronous
    with pytest.raises(BadRequest, match=f"allowed: up to {megabytes} MB"):
        read({"input": fitting["input"] + "x"}, synchronous=synchronous)


def test_ids_tell_by_their_prefix_how_a_job_was_asked_for():
    uuid = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    assert re.fullmatch(f"{uuid}-u1", new_id(synchronous=False))
    assert re.fullmatch(f"sync-{uuid}-e1", new_id(synchronous=True))


def test_a_value_of_a_query_is_a_whole_number_of_its_range():
    assert query_milliseconds("1000", "wait", (1000, 300_000)) == 1000
    for text in ("999", "300001", "", "-5", "1e4", "9" * 400, "٣٠٠٠"):
        with pytest.raises(BadRequest, match="allowed: 1000 to 300000 milliseconds"):
            query_milliseconds(text, "wait", (1000, 300_000))
