"""Ends of jobs that the worker itself tells: what is told, by which tries, and what it never keeps waiting."""

import asyncio
import hashlib
import hmac
import threading

import pytest

from fooocus_engine.errors import EngineError
from fooocus_engine.guarded_http import TargetFailed, TargetRefused
from fooocus_engine.jobs.webhook import end_of_job
from fooocus_engine.settings import Settings
from fooocus_engine.worker.adapter import Adapter
from fooocus_engine.worker.taking import Taking
from fooocus_engine.worker.webhooks import NOT_IN_TIME
from tests.worker.posting import Posted, webhooks

URL = "https://client.example/hook"
RESULT = [{"url": "https://bucket.example/0.png", "seed": "7", "base64": None}]
REPLY = {"job_result": RESULT, "warnings": ["earlier"]}
TOLD = {"job_id": "j1", "job_result": [{"url": "https://bucket.example/0.png", "seed": "7"}]}
UNTOLD = {"job_id": "j1", "job_result": []}


def engine(given, job):
    """Wants the end told; fails with the words of the input, if there are any."""
    job.webhook_url = URL
    if given.get("fail"):
        raise EngineError(given["fail"])
    return REPLY


def handler_of(run, post, *, slots=2, **settings):
    taking = Taking(slots, lambda: 0, signals=())
    hooks = webhooks(post, lambda: taking.leaving, **settings)
    return Adapter(run, Settings(slots=slots), taking, hooks).answer, taking


def answered(post, run=engine, /, **given):
    handler, _ = handler_of(run, post)
    return asyncio.run(handler({"id": "j1", "input": given}))


def test_a_success_is_told_with_addresses_and_seeds_and_changes_no_reply():
    post = Posted()
    assert answered(post) == REPLY
    ((url, body, headers),) = post.got
    assert (url, post.bodies) == (URL, [TOLD])
    assert headers == {"Content-Type": "application/json", "X-Webhook-Id": end_of_job("j1", URL, []).id}
    assert body == end_of_job("j1", URL, [("https://bucket.example/0.png", "7")]).body


def test_a_secret_signs_what_is_told():
    post = Posted()
    handler, _ = handler_of(engine, post, secret="key")
    asyncio.run(handler({"id": "j1", "input": {}}))
    ((_, body, headers),) = post.got
    assert headers["X-Webhook-Signature"] == f"sha256={hmac.new(b'key', body, hashlib.sha256).hexdigest()}"


def test_a_failure_is_told_without_results_and_stays_the_same_failure():
    post = Posted(404)
    assert answered(post, fail="no such thing")["error"] == answered(Posted(), fail="no such thing")["error"]
    assert post.bodies == [UNTOLD]


def test_a_job_that_asks_for_no_webhook_tells_nobody():
    post = Posted()
    assert answered(post, lambda given, job: REPLY) == REPLY
    assert post.got == []


@pytest.mark.parametrize(
    ("answers", "tries", "warning"),
    [
        ([500, 429], 3, None),
        ([500, TargetFailed("no answer"), 503], 3, "status 503"),
        ([404], 1, "status 404"),
        ([302], 1, "status 302"),
        ([TargetRefused("an address that is not public")], 1, "an address that is not public"),
        ([ValueError("of ours")], 1, "of an internal error"),
    ],
)
def test_it_is_tried_as_every_webhook_and_a_failure_costs_a_warning_but_no_result(answers, tries, warning):
    post = Posted(*answers)
    reply = answered(post)
    assert len(post.got) == tries
    assert len({headers["X-Webhook-Id"] for _, _, headers in post.got}) == 1
    more = [] if warning is None else [f"webhook_url was not told: {warning}"]
    assert reply == {"job_result": RESULT, "warnings": ["earlier", *more]}


def test_a_receiver_that_hangs_holds_no_slot_of_the_engine():
    post = Posted("hang")

    async def both():
        handler, _ = handler_of(engine, post, slots=1)
        first = asyncio.create_task(handler({"id": "j1", "input": {}}))
        await asyncio.to_thread(post.arrived.wait)
        second = await asyncio.wait_for(handler({"id": "j2", "input": {}}), 60)
        waiting = not first.done()
        post.let_go.set()
        return waiting, second, await first

    assert asyncio.run(both()) == (True, REPLY, REPLY)


def test_a_cancel_meanwhile_ends_the_job_and_nothing_more_is_told():
    post = Posted("hang", 500)

    async def cancelled():
        handler, _ = handler_of(engine, post)
        task = asyncio.create_task(handler({"id": "j1", "input": {}}))
        await asyncio.to_thread(post.arrived.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)
        post.let_go.set()
        await handler({"id": "j2", "input": {}})  # another job's is told as ever

    asyncio.run(cancelled())
    assert [body["job_id"] for body in post.bodies] == ["j1", "j2", "j2"]


def test_a_job_that_is_given_up_is_told_without_results_and_nobody_waits_for_that():
    post, begun = Posted("hang"), threading.Event()

    def looping(given, job):
        job.webhook_url = URL
        begun.set()
        while True:
            job.check()

    async def cancelled():
        handler, _ = handler_of(looping, post)
        task = asyncio.create_task(handler({"id": "j1", "input": {}}))
        await asyncio.to_thread(begun.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 60)
        await asyncio.to_thread(post.arrived.wait)
        post.let_go.set()

    asyncio.run(cancelled())
    assert post.bodies == [UNTOLD]


def test_a_worker_that_leaves_waits_a_moment_for_what_is_under_way_and_keeps_the_result():
    post = Posted("hang")

    async def leaving():
        handler, taking = handler_of(engine, post)
        task = asyncio.create_task(handler({"id": "j1", "input": {}}))
        await asyncio.to_thread(post.arrived.wait)
        taking.leave()
        return await asyncio.wait_for(task, 12)

    reply = asyncio.run(leaving())
    post.let_go.set()
    assert reply == {"job_result": RESULT, "warnings": ["earlier", f"webhook_url was not told: {NOT_IN_TIME}"]}


def test_a_worker_that_leaves_still_tells_what_can_be_told_at_once():
    post = Posted()

    async def leaving():
        handler, taking = handler_of(engine, post)
        taking.leave()
        return await handler({"id": "j1", "input": {}})

    assert asyncio.run(leaving()) == REPLY
    assert post.bodies == [TOLD]
