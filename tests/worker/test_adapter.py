"""The handler as the SDK uses it: on an event loop, cancelled by task."""

import asyncio
import json
import threading

import pytest

from fooocus_engine.errors import EngineError, GpuOutOfMemory, StorageFailed
from fooocus_engine.jobs.events import Canceled, Failed, Finished
from fooocus_engine.settings import Settings
from fooocus_engine.worker.adapter import Adapter
from fooocus_engine.worker.taking import Taking
from tests.worker.posting import webhooks

SETTINGS = Settings(slots=2)


class Listener:
    """A sender of progress that keeps what it hears, and how it ended."""

    def __init__(self):
        self.events = []
        self.ends = []

    def sink(self, event):
        self.events.append(event)

    def stop(self):
        self.ends.append("stopped")

    async def close(self):
        self.ends.append("closed")


def answering(engine, settings=SETTINGS, *, listener=None, taking=None):
    """The handler that the SDK gets."""
    taking = taking or Taking(settings.slots, lambda: 0, signals=())
    open_progress = None if listener is None else lambda job_id: listener
    return Adapter(engine, settings, taking, webhooks(), open_progress=open_progress).answer


def job(id="j1", /, **given):
    return {"id": id, "input": given}


def called(handler, given):
    return asyncio.run(handler(given))


def error_of(reply):
    return json.loads(reply["error"])


class LoopingEngine:
    """Works until its job is given up, and tells when it has begun and when it has let go."""

    def __init__(self):
        self.begun = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, given, job):
        self.begun.set()
        try:
            while True:
                job.check()
        finally:
            self.let_go.set()


async def until(event):
    await asyncio.to_thread(event.wait)


def test_the_reply_of_the_engine_is_returned_as_plain_json():
    handler = answering(lambda given, job: {"seen": (given["prompt"], job.id)})
    assert called(handler, job(prompt="cat")) == {"seen": ["cat", "j1"]}


@pytest.mark.parametrize("given", [{"id": "j"}, {"id": "j", "input": None}])
def test_a_job_without_input_reaches_the_engine_as_an_empty_one(given):
    assert called(answering(lambda given, job: given), given) == {}


def test_other_than_objects_reach_the_engine_as_they_are():
    assert called(answering(lambda given, job: [given]), {"id": "j", "input": "text"}) == ["text"]


def test_the_engine_does_not_run_on_the_thread_of_the_loop():
    handler = answering(lambda given, job: threading.current_thread() is threading.main_thread())
    assert called(handler, job()) is False


def test_two_jobs_run_at_a_time():
    meeting = threading.Barrier(2, timeout=10)
    handler = answering(lambda given, job: meeting.wait() >= 0)

    async def both():
        return await asyncio.gather(handler(job("a")), handler(job("b")))

    assert asyncio.run(both()) == [True, True]


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (EngineError("no such thing"), 500, "no such thing"),
        (GpuOutOfMemory("too large"), 500, "too large"),
        (StorageFailed("disk"), 500, "disk"),
        (ZeroDivisionError("/secret"), 500, "Internal Server Error"),
    ],
)
def test_every_error_becomes_a_failed_reply(error, status, detail):
    def engine(given, job):
        raise error

    listener = Listener()
    reply = called(answering(engine, listener=listener), job())
    assert (error_of(reply)["status"], error_of(reply)["detail"]) == (status, detail)
    assert listener.events == [Failed(detail)]


def test_a_reply_that_is_no_json_becomes_a_failed_reply():
    assert "no JSON" in error_of(called(answering(lambda given, job: {"a": b""}), job()))["detail"]


@pytest.mark.parametrize(("id", "most"), [("4f2-u1", 9_000_000), ("sync-4f2-e1", 18_000_000)])
def test_the_engine_is_told_what_the_reply_may_have(id, most):
    assert called(answering(lambda given, job: job.delivery.reply_bytes), job(id)) == most


def test_a_reply_that_is_too_large_becomes_a_failed_reply():
    reply = called(answering(lambda given, job: "x" * 9_000_001), job())
    assert error_of(reply)["status"] == 413


@pytest.mark.parametrize("listener", [None, Listener()])
def test_the_bucket_that_a_job_brings_along_reaches_the_engine_beside_its_input(listener):
    config = {"endpointUrl": "https://store", "accessId": "id", "accessSecret": "secret", "bucketName": "pics"}
    handler = answering(lambda given, job: [given, job.delivery.s3_config == config], listener=listener)
    assert called(handler, {**job(prompt="cat"), "s3Config": config}) == [{"prompt": "cat"}, True]
    assert called(handler, job(prompt="cat")) == [{"prompt": "cat"}, False]


def test_each_job_has_a_sender_of_its_own_which_hears_the_end_and_is_closed_before_the_reply():
    senders = {}

    def open_progress(job_id):
        return senders.setdefault(job_id, Listener())

    taking = Taking(2, lambda: 0, signals=())
    adapter = Adapter(lambda given, job: {}, SETTINGS, taking, webhooks(), open_progress=open_progress)
    for id in ("j7", "j8"):
        called(adapter.answer, job(id))
    assert [(id, sender.events, sender.ends) for id, sender in senders.items()] == [
        ("j7", [Finished()], ["closed"]),
        ("j8", [Finished()], ["closed"]),
    ]


@pytest.mark.parametrize(("preview", "wanted"), [(True, True), (False, False)])
def test_settings_switch_previews(preview, wanted):
    handler = answering(lambda given, job: job.wants_preview(), Settings(preview=preview), listener=Listener())
    assert called(handler, job()) is wanted


def test_no_more_previews_are_drawn_than_updates_are_sent():
    def engine(given, job):
        job.step(0, 0, 2, preview=b"png")
        return job.wants_preview()

    assert called(answering(engine, Settings(preview_interval_s=0, progress_interval_s=0), listener=Listener()), job())
    assert not called(
        answering(engine, Settings(preview_interval_s=0, progress_interval_s=3600), listener=Listener()), job()
    )


def test_where_nobody_listens_no_preview_is_wanted():
    assert called(answering(lambda given, job: job.wants_preview(), Settings(preview=True)), job()) is False


def test_a_refused_reply_is_told_as_a_failure_and_never_as_finished():
    listener = Listener()
    called(answering(lambda given, job: "x" * 9_000_001, listener=listener), job())
    assert [type(event) for event in listener.events] == [Failed]


def test_cancelling_the_task_stops_the_engine_before_it_is_raised_again():
    engine, listener = LoopingEngine(), Listener()
    handler = answering(engine, listener=listener)

    async def cancelled():
        task = asyncio.create_task(handler(job()))
        await until(engine.begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return engine.let_go.is_set()

    assert asyncio.run(cancelled()) is True
    assert listener.events == [Canceled()]
    assert listener.ends == ["stopped", "closed"]


def test_cancelling_twice_still_waits_for_the_engine():
    begun, released, let_go = threading.Event(), threading.Event(), threading.Event()

    def engine(given, job):
        begun.set()
        released.wait(10)
        let_go.set()

    async def cancelled_twice():
        task = asyncio.create_task(answering(engine)(job()))
        await until(begun)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
            assert not task.done()
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return let_go.is_set()

    assert asyncio.run(cancelled_twice()) is True


def test_a_job_cancelled_before_a_thread_is_free_never_runs():
    engine, ran = LoopingEngine(), []

    def run(given, job):
        if given["name"] == "first":
            return engine(given, job)
        ran.append(given["name"])
        return {}

    async def waiting_cancelled():
        handler = answering(run, Settings(slots=1))
        first = asyncio.create_task(handler(job("a", name="first")))
        await until(engine.begun)
        second = asyncio.create_task(handler(job("b", name="second")))
        await asyncio.sleep(0)
        second.cancel()
        first.cancel()
        return await asyncio.gather(first, second, return_exceptions=True)

    assert [type(end) for end in asyncio.run(waiting_cancelled())] == [asyncio.CancelledError] * 2
    assert ran == []


def test_a_cancelled_job_leaves_the_other_running():
    engine = LoopingEngine()

    def run(given, job):
        return engine(given, job) if given["loop"] else "done"

    async def one_cancelled():
        handler = answering(run)
        looping = asyncio.create_task(handler(job("a", loop=True)))
        await until(engine.begun)
        reply = await handler(job("b", loop=False))
        looping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looping
        return reply

    assert asyncio.run(one_cancelled()) == "done"


def test_after_a_device_error_every_job_is_refused_and_no_more_are_taken():
    calls, left = [], []

    def engine(given, job):
        calls.append(job.id)
        raise RuntimeError("CUDA error: device-side assert triggered")

    class Leaving(Taking):
        def leave(self):
            left.append(True)

    handler = answering(engine, taking=Leaving(2, lambda: 0, signals=()))

    async def two():
        return [await handler(job("a")), await handler(job("b"))]

    first, second = asyncio.run(two())
    assert first["refresh_worker"] and second["refresh_worker"]
    assert "being replaced" in error_of(second)["detail"]
    assert calls == ["a"]
    assert left


def test_a_job_that_is_delivered_again_while_it_runs_is_not_run_twice():
    released, calls = threading.Event(), []

    def engine(given, job):
        calls.append(job.id)
        released.wait(60)
        return {"error": "x", "number": len(calls)}

    async def twice():
        handler = answering(engine)
        both = [asyncio.create_task(handler(job("a"))) for _ in range(2)]
        await asyncio.sleep(0)
        released.set()
        first, second = await asyncio.gather(*both)
        first.pop("error")  # as the SDK does
        return second, await handler(job("a"))

    second, later = asyncio.run(twice())
    assert second == {"error": "x", "number": 1}
    assert later["number"] == 2
    assert calls == ["a", "a"]


def test_cancelling_one_delivery_of_a_job_ends_the_other():
    engine = LoopingEngine()

    async def one_cancelled():
        handler = answering(engine)
        first = asyncio.create_task(handler(job("a")))
        await until(engine.begun)
        second = asyncio.create_task(handler(job("a")))
        await asyncio.sleep(0)
        second.cancel()
        return await asyncio.gather(first, second, return_exceptions=True)

    assert [type(end) for end in asyncio.run(one_cancelled())] == [asyncio.CancelledError] * 2


def test_a_job_that_is_delivered_again_after_its_cancel_is_run_once_the_device_is_free():
    begun, released, calls = threading.Event(), threading.Event(), []

    def engine(given, job):
        assert released.is_set() == bool(calls)
        calls.append(job.id)
        begun.set()
        released.wait(60)
        job.check()
        return len(calls)

    async def again():
        handler = answering(engine)
        first = asyncio.create_task(handler(job("a")))
        await until(begun)
        first.cancel()
        await asyncio.sleep(0)
        second, third = (asyncio.create_task(handler(job("a"))) for _ in range(2))
        await asyncio.sleep(0)
        third.cancel()  # a cancel ends the wait as well
        await asyncio.sleep(0)
        released.set()
        return await asyncio.gather(first, second, third, return_exceptions=True)

    first, second, third = asyncio.run(again())
    assert (type(first), second, type(third)) == (asyncio.CancelledError, 2, asyncio.CancelledError)
    assert calls == ["a", "a"]


def test_a_fault_outside_the_engine_is_answered_without_telling_it():
    def open_progress(job_id):
        raise OSError("/secret/path")

    taking = Taking(2, lambda: 0, signals=())
    adapter = Adapter(lambda given, job: {}, SETTINGS, taking, webhooks(), open_progress=open_progress)
    assert error_of(called(adapter.answer, job()))["detail"] == "Internal Server Error"
    assert error_of(called(adapter.answer, {"input": {}}))["detail"] == "Internal Server Error"


def test_the_handler_is_a_coroutine_function_for_the_sdk():
    assert asyncio.iscoroutinefunction(answering(lambda given, job: None))
