"""Webhooks of the door: once for each ended job, in order, signed, retried, buried, never in the way (api.md §4.8)."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace

import pytest

from fooocus_engine.settings import EVERY_NETWORK
from fooocus_engine.shim.messages import Messages
from fooocus_engine.shim.tables import open_database
from tests.shim.live import HASTY, T2I, listening, live
from tests.shim.receiver import receiver
from tests.shim.stub_platform import StubPlatform


@pytest.fixture
def hook():
    with receiver() as running:
        yield running


def ended(door, hook, **fields):
    return door.ended(door.submit(webhook_url=hook.url, **fields)["job_id"])


def letters(tmp_path):
    """Messages that wait, and dead ones, of a door that is closed."""
    engine = open_database(f"sqlite:///{tmp_path}/state/shim.db")
    found = Messages(engine)
    result = (found.waiting(), found.dead())
    engine.dispose()
    return result


def test_the_end_of_a_job_is_told_in_the_documented_words(tmp_path, hook):
    with live(tmp_path, private_urls=EVERY_NETWORK, webhook_secret="s3cret") as door:
        job = ended(door, hook, image_number=2, image_seed=5)
        (body,) = hook.wait_for(1)
    assert body == {
        "job_id": job["job_id"],
        "job_result": [{"url": r["url"], "seed": seed} for r, seed in zip(job["job_result"], "56", strict=True)],
    }
    headers, raw = hook.got[0]
    assert headers["content-type"] == "application/json"
    assert headers["x-webhook-signature"] == f"sha256={hmac.new(b's3cret', raw, hashlib.sha256).hexdigest()}"


def test_failures_and_cancels_are_told_without_results(tmp_path, hook):
    stub = StubPlatform(worker=lambda job_id, given: {"error": "broken"})
    with live(tmp_path, stub, private_urls=EVERY_NETWORK) as door:
        failed = ended(door, hook)["job_id"]
        stub.held = True
        canceled = door.submit(webhook_url=hook.url)["job_id"]
        door.post("/v1/generation/stop", job_id=canceled)
        bodies = hook.wait_for(2)
    assert bodies == [{"job_id": failed, "job_result": []}, {"job_id": canceled, "job_result": []}]


def test_a_synchronous_job_is_told_too_and_the_servers_webhook_is_the_default(tmp_path, hook):
    with live(tmp_path, private_urls=EVERY_NETWORK, webhook_url=f"{hook.url}/all") as door:
        door.post(T2I, {"webhook_url": ""})
        ended(door, hook)
        hook.wait_for(2)
    assert len(hook.got) == 2


def test_the_result_can_be_asked_for_when_the_webhook_comes(tmp_path, hook):
    with live(tmp_path, private_urls=EVERY_NETWORK) as door:
        door.submit(webhook_url=hook.url)
        (body,) = hook.wait_for(1)
        assert door.get("/v1/generation/query-job", job_id=body["job_id"]).json()["job_stage"] == "SUCCESS"


@pytest.mark.parametrize(("answers", "tries"), [([500, 503], 3), ([429], 2), ([500] * 9, 3), ([301], 1), ([404], 1)])
def test_what_may_pass_is_tried_again_under_the_same_id(tmp_path, hook, answers, tries):
    hook.answers.extend(answers)
    with live(tmp_path, private_urls=EVERY_NETWORK, persistent=True) as door:
        ended(door, hook)
        hook.wait_for(tries)
        door.stub.wait_for("status")
    assert len(hook.got) == tries
    assert len({headers["x-webhook-id"] for headers, _ in hook.got}) == 1
    delivered = len(answers) < tries
    waiting, dead = letters(tmp_path)
    assert (waiting, len(dead)) == ([], 0 if delivered else 1)


def test_deliveries_to_one_address_keep_the_order_of_completion(tmp_path, hook):
    hook.answers.extend([500, 500])
    with live(tmp_path, private_urls=EVERY_NETWORK) as door:
        ids = [ended(door, hook)["job_id"] for _ in range(3)]
        bodies = hook.wait_for(5)
    assert [body["job_id"] for body in bodies] == [ids[0]] * 3 + ids[1:]


def test_a_receiver_that_hangs_keeps_neither_jobs_nor_other_receivers_waiting(tmp_path, hook):
    hook.answers.append("hang")
    with receiver() as other, live(tmp_path, private_urls=EVERY_NETWORK) as door:
        ended(door, hook)
        hook.wait_for(1)
        assert door.post(T2I, {"webhook_url": other.url}).status_code == 200
        other.wait_for(1)
        hook.let_go.set()
        hook.wait_for(2)


def test_a_receiver_that_is_too_slow_is_tried_again(tmp_path, hook):
    hook.answers.append("hang")
    with live(tmp_path, tempo=HASTY, private_urls=EVERY_NETWORK) as door:
        ended(door, hook)
        hook.wait_for(2)
    assert len({headers["x-webhook-id"] for headers, _ in hook.got}) == 1


def test_a_receiver_that_is_down_is_given_up_after_three_tries(tmp_path):
    with listening() as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with live(tmp_path, private_urls=EVERY_NETWORK, persistent=True) as door:
        assert door.post(T2I, {"webhook_url": url}).status_code == 200
        door.until(lambda: letters(tmp_path)[1])
    waiting, (dead,) = letters(tmp_path)
    assert (waiting, dead.tries) == ([], 3)


def test_a_refused_target_is_buried_and_does_not_refuse_the_request(tmp_path, hook):
    with live(tmp_path, persistent=True) as door:
        assert door.post(T2I, {"webhook_url": hook.url}).status_code == 200
    waiting, (dead,) = letters(tmp_path)
    assert (waiting, hook.got) == ([], [])
    assert dead.url == hook.url


def test_what_waits_when_the_door_closes_is_delivered_by_the_next_one(tmp_path, hook):
    hook.answers.extend([500, 500])
    slow = replace(HASTY, webhooks=replace(HASTY.webhooks, waits_s=(600.0, 600.0)))
    with live(tmp_path, tempo=slow, private_urls=EVERY_NETWORK, persistent=True) as door:
        job = ended(door, hook)
        hook.wait_for(1)
    waiting, dead = letters(tmp_path)
    assert ([json.loads(m.body)["job_id"] for m in waiting], dead) == ([job["job_id"]], [])
    with live(tmp_path, private_urls=EVERY_NETWORK, persistent=True):
        bodies = hook.wait_for(3)
    assert [body["job_id"] for body in bodies] == [job["job_id"]] * 3
    assert len({headers["x-webhook-id"] for headers, _ in hook.got}) == 1
