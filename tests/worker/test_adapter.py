"""The handler as the SDK uses it: on an event loop, cancelled by task."""

import asyncio
import json
import threading

import pytest

from fooocus_engine.errors import EngineError, GpuOutOfMemory, StorageFailed
from fooocus_engine.jobs.events import Canceled, Failed, Finished
from fooocus_engine.settings import Settings
from fooocus_engine.worker.adapter import concurrency_modifier, make_handler

SETTINGS = Settings(slots=2)


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
    handler = make_handler(lambda given, job: {"seen": (given["prompt"], job.id)}, SETTINGS)
    assert called(handler, job(prompt="cat")) == {"seen": ["cat", "j1"]}


@pytest.mark.parametrize("given", [{"id": "j"}, {"id": "j", "input": None}])
def test_a_job_without_input_reaches_the_engine_as_an_empty_one(given):
    assert called(make_handler(lambda given, job: given, SETTINGS), given) == {}


def test_other_than_objects_reach_the_engine_as_they_are():
    assert called(make_handler(lambda given, job: [given], SETTINGS), {"id": "j", "input": "text"}) == ["text"]


def test_the_engine_does_not_run_on_the_thread_of_the_loop():
    handler = make_handler(lambda given, job: threading.current_thread() is threading.main_thread(), SETTINGS)
    assert called(handler, job()) is False


def test_two_jobs_run_at_a_time():
    meeting = threading.Barrier(2, timeout=10)
    handler = make_handler(lambda given, job: meeting.wait() >= 0, SETTINGS)

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

    events = []
    reply = called(make_handler(engine, SETTINGS, sink_for=lambda job: events.append), job())
    assert (error_of(reply)["status"], error_of(reply)["detail"]) == (status, detail)
    assert events == [Failed(detail)]


def test_a_reply_that_is_no_json_becomes_a_failed_reply():
    assert "no JSON" in error_of(called(make_handler(lambda given, job: {"a": b""}, SETTINGS), job()))["detail"]


def test_a_reply_that_is_too_large_becomes_a_failed_reply():
    reply = called(make_handler(lambda given, job: "x" * 9_000_001, SETTINGS), job())
    assert error_of(reply)["status"] == 413


@pytest.mark.parametrize("sink_for", [None, lambda job: lambda event: None])
def test_the_bucket_that_a_job_brings_along_reaches_the_engine_beside_its_input(sink_for):
    config = {"endpointUrl": "https://store", "accessId": "id", "accessSecret": "secret", "bucketName": "pics"}
    handler = make_handler(lambda given, job: [given, job.s3_config == config], SETTINGS, sink_for=sink_for)
    assert called(handler, {**job(prompt="cat"), "s3Config": config}) == [{"prompt": "cat"}, True]
    assert called(handler, job(prompt="cat")) == [{"prompt": "cat"}, False]


def test_the_sink_is_made_of_the_platforms_job_and_hears_the_end():
    heard = {}
    handler = make_handler(lambda given, job: {}, SETTINGS, sink_for=lambda job: heard.setdefault(job["id"], []).append)
    called(handler, job("j7"))
    assert heard == {"j7": [Finished()]}


@pytest.mark.parametrize(("preview", "wanted"), [(True, True), (False, False)])
def test_settings_switch_previews(preview, wanted):
    handler = make_handler(
        lambda given, job: job.wants_preview(), Settings(preview=preview), sink_for=lambda job: [].append
    )
    assert called(handler, job()) is wanted


def test_where_nobody_listens_no_preview_is_wanted():
    assert called(make_handler(lambda given, job: job.wants_preview(), Settings(preview=True)), job()) is False


def test_a_refused_reply_is_told_as_a_failure_and_never_as_finished():
    events = []
    handler = make_handler(lambda given, job: "x" * 9_000_001, SETTINGS, sink_for=lambda job: events.append)
    called(handler, job())
    assert [type(event) for event in events] == [Failed]


def test_cancelling_the_task_stops_the_engine_before_it_is_raised_again():
    engine, events = LoopingEngine(), []
    handler = make_handler(engine, SETTINGS, sink_for=lambda job: events.append)

    async def cancelled():
        task = asyncio.create_task(handler(job()))
        await until(engine.begun)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return engine.let_go.is_set()

    assert asyncio.run(cancelled()) is True
    assert events == [Canceled()]


def test_cancelling_twice_still_waits_for_the_engine():
    begun, released, let_go = threading.Event(), threading.Event(), threading.Event()

    def engine(given, job):
        begun.set()
        released.wait(10)
        let_go.set()

    async def cancelled_twice():
        task = asyncio.create_task(make_handler(engine, SETTINGS)(job()))
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
        handler = make_handler(run, Settings(slots=1))
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
        handler = make_handler(run, SETTINGS)
        looping = asyncio.create_task(handler(job("a", loop=True)))
        await until(engine.begun)
        reply = await handler(job("b", loop=False))
        looping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looping
        return reply

    assert asyncio.run(one_cancelled()) == "done"


def test_after_a_device_error_every_job_is_refused_and_a_new_worker_asked_for():
    calls = []

    def engine(given, job):
        calls.append(job.id)
        raise RuntimeError("CUDA error: device-side assert triggered")

    handler = make_handler(engine, SETTINGS)

    async def two():
        return [await handler(job("a")), await handler(job("b"))]

    first, second = asyncio.run(two())
    assert first["refresh_worker"] and second["refresh_worker"]
    assert "being replaced" in error_of(second)["detail"]
    assert calls == ["a"]


def test_the_sdk_is_told_the_slots_of_the_settings():
    assert concurrency_modifier(Settings(slots=5))(1) == 5


def test_the_handler_is_a_coroutine_function_for_the_sdk():
    assert asyncio.iscoroutinefunction(make_handler(lambda given, job: None, SETTINGS))
