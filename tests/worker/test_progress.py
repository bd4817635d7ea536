"""The sender of one job's progress, on a loop whose time passes only by waiting."""

import asyncio
import logging
import random
import threading
from itertools import pairwise

import pytest

from fooocus_engine.jobs.events import Finished, Stage, Step
from fooocus_engine.worker.progress import PATIENCE_S, PHASE_GAP_S, RETRY_S, LineDown, ProgressSender
from tests.worker import virtual_time

TICK = 1e-6  # seconds; of adding floats


class Recorder:
    """A line. ``faults`` decides which posts do not arrive, ``takes_s`` how long each takes."""

    def __init__(self, *, faults=lambda: False, takes_s=lambda: 0.0):
        self.posts = []  # (sent at, answered at, update) of those that arrived
        self.tries = []
        self.closed = False
        self._faults, self._takes_s = faults, takes_s

    async def post(self, update):
        loop = asyncio.get_running_loop()
        assert not self.closed
        sent = loop.time()
        self.tries.append(sent)
        fault = self._faults()
        await asyncio.sleep(self._takes_s())
        if fault:
            raise LineDown("reset")
        self.posts.append((sent, loop.time(), update))

    async def close(self):
        self.closed = True

    @property
    def updates(self):
        return [update for _, _, update in self.posts]


def step(number, percent=None):
    return Step(number if percent is None else percent, f"Step {number}", 0, number, 100)


async def sent_through(line, *script, interval_s=1.0):
    """Play ``script`` of events and seconds to wait; close; give when that was over."""
    sender = ProgressSender(line, interval_s)
    for item in script:
        if isinstance(item, (int, float)):
            await asyncio.sleep(item)
        else:
            sender.sink(item)
    await sender.close()
    return asyncio.get_running_loop().time()


def test_the_first_update_goes_at_once_and_the_next_after_the_interval():
    line = Recorder()
    virtual_time.run(sent_through(line, step(0), 0.1, step(1), 0.1, step(2), 3))
    assert [at for at, _, _ in line.posts] == pytest.approx([0, 1.0], abs=TICK)
    assert [update["step"] for update in line.updates] == [0, 2]


def test_a_phase_waits_for_a_quarter_of_a_second_only():
    line = Recorder()
    virtual_time.run(sent_through(line, Stage(1, "a"), 0.1, Stage(2, "b"), 3))
    assert [at for at, _, _ in line.posts] == pytest.approx([0, PHASE_GAP_S], abs=TICK)


def test_a_phase_overtakes_the_interval_that_a_step_waits_for():
    line = Recorder()
    virtual_time.run(sent_through(line, step(0), 0.3, step(1), 0.1, Stage(50, "Saving"), 3))
    assert [update["job_status"] for update in line.updates] == ["Step 0", "Saving"]
    assert line.posts[1][0] == pytest.approx(0.4, abs=TICK)


def test_the_interval_counts_from_the_answer():
    line = Recorder(takes_s=lambda: 0.7)
    virtual_time.run(sent_through(line, step(0), 0.1, step(1), 5))
    assert [at for at, _, _ in line.posts] == pytest.approx([0, 1.7], abs=TICK)


def test_closing_waits_for_the_post_on_its_way_and_drops_what_waits():
    line = Recorder(takes_s=lambda: 5.0)
    ended = virtual_time.run(sent_through(line, step(0), 0.1, step(1)))
    assert ended == pytest.approx(5.0, abs=TICK)
    assert [update["step"] for update in line.updates] == [0]
    assert line.closed


def test_closing_is_immediate_when_nothing_is_on_its_way():
    assert virtual_time.run(sent_through(Recorder(), step(0), 0.5, step(1))) == pytest.approx(0.5, abs=TICK)


def test_the_end_of_a_job_is_not_posted():
    line = Recorder()
    virtual_time.run(sent_through(line, Finished(), 3))
    assert line.posts == []


def test_an_update_that_did_not_arrive_is_tried_again():
    faults = iter([True, True])
    line = Recorder(faults=lambda: next(faults, False))
    virtual_time.run(sent_through(line, step(0), 10))
    assert line.tries == pytest.approx([0, RETRY_S, 2 * RETRY_S], abs=TICK)
    assert [update["step"] for update in line.updates] == [0]


def test_a_finished_job_waits_for_a_line_that_is_down_until_it_carries_again():
    faults = iter([True] * 5)
    line = Recorder(faults=lambda: next(faults, False))
    ended = virtual_time.run(sent_through(line, step(0), 0.1))
    assert len(line.posts) == 1
    assert ended == pytest.approx(5 * RETRY_S, abs=TICK)


def test_a_finished_job_does_not_wait_longer_than_a_minute():
    line = Recorder(faults=lambda: True)
    ended = virtual_time.run(sent_through(line, step(0), 0.1))
    assert PATIENCE_S <= ended <= PATIENCE_S + RETRY_S + 1
    assert line.closed


def test_stopping_ends_the_post_on_its_way():
    line = Recorder(takes_s=lambda: 1000.0)

    async def stopped():
        sender = ProgressSender(line, 1.0)
        sender.sink(step(0))
        await asyncio.sleep(1)
        sender.stop()
        sender.sink(step(1))
        await sender.close()
        return asyncio.get_running_loop().time()

    assert virtual_time.run(stopped()) == pytest.approx(1.0, abs=TICK)
    assert line.posts == []
    assert line.closed


def test_a_fault_in_the_line_is_logged_and_closing_still_ends(caplog):
    class Broken(Recorder):
        async def post(self, update):
            raise ValueError("no such thing")

    with caplog.at_level(logging.ERROR):
        virtual_time.run(sent_through(Broken(), step(0), 1))
    assert caplog.messages == ["progress ended early"]


def test_events_may_come_from_any_thread():
    line = Recorder()

    async def from_a_thread():
        sender = ProgressSender(line, 0.0)
        thread = threading.Thread(target=lambda: [sender.sink(step(n)) for n in range(100)])
        thread.start()
        await asyncio.to_thread(thread.join)
        await sender.close()

    asyncio.run(from_a_thread())
    numbers = [update["step"] for update in line.updates]
    assert numbers == sorted(numbers)


async def random_job(rng, line, interval_s, phases):
    """A job of many steps at random times, a share ``phases`` of them phases. Gives when its result would be posted."""
    sender = ProgressSender(line, interval_s)
    percent = 0
    for number in range(rng.randint(1, 40)):
        await asyncio.sleep(rng.choice([0, 0.001, 0.05, 0.4, 1.5]))
        percent = min(99, percent + rng.randint(0, 3))
        sender.sink(Stage(percent, f"phase {number}") if rng.random() < phases else step(number, percent))
    await sender.close()
    return asyncio.get_running_loop().time()


async def two_hundred_jobs(interval_s, phases):
    rng = random.Random(7)
    lines = [
        Recorder(faults=lambda: rng.random() < 0.1, takes_s=lambda: rng.choice([0.0, 0.01, 0.3, 2.0]))
        for _ in range(200)
    ]
    ended = await asyncio.gather(*(random_job(rng, line, interval_s, phases) for line in lines))
    return list(zip(lines, ended, strict=True))


@pytest.mark.parametrize(("interval_s", "phases", "least"), [(0.0, 0.2, 0.0), (1.0, 0.0, 1.0), (1.0, 0.2, PHASE_GAP_S)])
def test_progress_of_200_jobs_rises_keeps_its_rate_and_is_over_before_the_result(interval_s, phases, least):
    told = 0
    for line, ended in virtual_time.run(two_hundred_jobs(interval_s, phases)):
        percents = [update["job_progress"] for update in line.updates]
        numbers = [update["n"] for update in line.updates]
        assert percents == sorted(percents)
        assert numbers == sorted(set(numbers))
        assert all(answered <= ended + TICK for _, answered, _ in line.posts)
        assert all(sent - answered >= least - TICK for (_, answered, _), (sent, _, _) in pairwise(line.posts))
        assert line.closed
        told += len(line.posts)
    assert told > 200
