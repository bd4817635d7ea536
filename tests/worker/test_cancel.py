"""Where a cancel finds a job: at each point the device is free at the next look, and the next job is as if alone.

The engine is scripted; with a real model the same points are in `python -m benchmarks.cancels`.
"""

import asyncio
import threading

import pytest

from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.jobs.turn import Turn
from fooocus_engine.settings import Settings
from fooocus_engine.worker.adapter import Adapter
from fooocus_engine.worker.taking import Taking
from tests.worker.posting import webhooks

STEPS = 4
POINTS = ("loading", "encoding", "step 0", "step 2", "step 3", "decode", "upload")
UNTOUCHED = ["loading", "encoding", "step 0", "step 1", "step 2", "step 3", "decode", "upload"]


class Pipeline:
    """Goes through a job's points under the turn, as the conductor does; upload is outside of it.

    At the point ``stop_at`` of the job "victim" it waits until ``go_on``. ``made`` is what each job did.
    """

    def __init__(self, stop_at=None):
        self.turn = Turn()
        self.made = {}
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self._stop_at = stop_at

    def __call__(self, given, job: Job):
        done = self.made.setdefault(job.id, [])
        with self.turn.of(job):
            job.stage(Phase.LOADING_MODELS)
            self._at("loading", job, done)
            job.stage(Phase.PROCESSING_PROMPTS)
            self._at("encoding", job, done)
            job.expect(images=1, steps=STEPS)
            job.start_image(0)
            for step in range(STEPS):
                job.step(0, step, STEPS)
                self._at(f"step {step}", job, done)
            self._at("decode", job, done)
            job.save_image(0)
        self._at("upload", job, done)
        job.check()
        return {"made": list(done)}

    def _at(self, point, job, done):
        done.append(point)
        if job.id == "victim" and point == self._stop_at:
            self.reached.set()
            assert self.go_on.wait(60)


def handler_of(pipeline, slots=2):
    return Adapter(pipeline, Settings(slots=slots), Taking(slots, lambda: 0, signals=()), webhooks()).answer


def asked(handler, id):
    return asyncio.create_task(handler({"id": id, "input": {"prompt": "x"}}))


async def happened(event):
    assert await asyncio.to_thread(event.wait, 60)


async def cancelled_at(pipeline, *, times=1, handler=None):
    """Cancel the victim where the pipeline stops; then ask for another job."""
    handler = handler or handler_of(pipeline)
    victim = asked(handler, "victim")
    await happened(pipeline.reached)
    for _ in range(times):
        victim.cancel()
        await asyncio.sleep(0)
    assert not victim.done()  # the thread still holds the device
    pipeline.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await victim
    return await asked(handler, "next")


@pytest.mark.parametrize("point", POINTS)
def test_a_cancelled_job_goes_no_further_than_its_next_look_and_the_next_job_is_whole(point):
    pipeline = Pipeline(point)
    assert asyncio.run(cancelled_at(pipeline)) == {"made": UNTOUCHED}
    expected = UNTOUCHED[: UNTOUCHED.index(point) + 1]
    if point == "step 3":
        expected = [*expected, "decode"]  # decoding is not interrupted; the look is behind it
    assert pipeline.made["victim"] == expected


def test_a_job_cancelled_twice_is_let_go_once():
    assert asyncio.run(cancelled_at(Pipeline("step 2"), times=3)) == {"made": UNTOUCHED}


def test_a_job_cancelled_before_its_task_began_never_runs():
    pipeline = Pipeline()

    async def queued():
        handler = handler_of(pipeline)
        victim = asked(handler, "victim")
        victim.cancel()
        with pytest.raises(asyncio.CancelledError):
            await victim
        return await asked(handler, "next")

    assert asyncio.run(queued()) == {"made": UNTOUCHED}
    assert "victim" not in pipeline.made


def test_a_job_that_waits_for_its_turn_in_the_second_slot_leaves_without_it():
    pipeline = Pipeline("step 2")

    async def waiting():
        handler = handler_of(pipeline)
        first = asked(handler, "victim")
        await happened(pipeline.reached)
        second = asked(handler, "second")
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second  # while the first still holds the device
        pipeline.go_on.set()
        return await first

    assert asyncio.run(waiting()) == {"made": UNTOUCHED}
    assert pipeline.made.get("second", []) == []


def test_a_cancel_after_the_end_changes_nothing():
    async def late():
        handler = handler_of(Pipeline())
        done = asked(handler, "victim")
        reply = await done
        assert not done.cancel()
        return reply, await asked(handler, "next")

    assert asyncio.run(late()) == ({"made": UNTOUCHED}, {"made": UNTOUCHED})


def test_the_slot_of_a_cancelled_job_is_free_for_the_next():
    pipeline = Pipeline("step 0")
    handler = handler_of(pipeline, slots=1)
    assert asyncio.run(cancelled_at(pipeline, handler=handler)) == {"made": UNTOUCHED}
