"""How many jobs the SDK may hold: usual, with a job that waits, while leaving, and on a platform that never holds."""

import asyncio
import os
import signal

import pytest

from fooocus_engine.worker.taking import FAST_FETCHES, FETCH_S, Taking

SLOTS = 2


class Sdk:
    """What the SDK does with its modifier. ``now`` is the time; pauses are kept."""

    def __init__(self, *, signals=()):
        self.in_hand = 0
        self.now = 100.0
        self.pauses = []
        self.taking = Taking(SLOTS, lambda: self.in_hand, signals=signals, clock=lambda: self.now, pause=self.pause)

    def pause(self, seconds):
        self.pauses.append(seconds)
        self.now += seconds

    def ask(self, *, after=10.0):
        self.now += after
        return self.taking(SLOTS)

    def start(self, ended):
        """A job is taken and its handler called; the SDK is done with it at ``ended``."""

        async def handled():
            self.taking.begin()
            await ended.wait()
            self.in_hand -= 1

        self.in_hand += 1
        return asyncio.create_task(handled())


async def one_running(sdk):
    ended = asyncio.Event()
    task = sdk.start(ended)
    await asyncio.sleep(0)
    return ended, task


def test_the_slots_of_the_settings_are_taken():
    assert Sdk().ask() == SLOTS


def test_a_job_that_waits_to_begin_is_never_kept_from_it():
    sdk = Sdk()
    sdk.in_hand = 1
    sdk.taking.leave()
    assert [sdk.ask(after=0.0) for _ in range(100)] == [SLOTS] * 100


def test_a_leaving_worker_fetches_nothing_while_jobs_run_and_ends_after_them():
    async def leaving():
        sdk = Sdk()
        ended, task = await one_running(sdk)
        sdk.taking.leave()
        assert sdk.ask() == 0
        ended.set()
        await task
        await asyncio.sleep(0)
        assert sdk.ask() == 0
        await asyncio.sleep(60)  # never passes: the loop ends

    with pytest.raises(SystemExit) as left:
        asyncio.run(leaving())
    assert left.value.code == 0


def test_a_leaving_worker_does_not_end_while_a_second_delivery_of_one_job_runs():
    async def leaving():
        sdk = Sdk()
        first, one = await one_running(sdk)
        second, two = await one_running(sdk)
        sdk.taking.leave()
        first.set()
        await one
        sdk.in_hand = 0  # the SDK counts ids, and forgets both with the first
        assert sdk.ask() == 0
        await asyncio.sleep(0)  # the loop would end here
        second.set()
        await two

    asyncio.run(leaving())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_makes_the_worker_leave_whoever_had_listened_before(number):
    before = signal.getsignal(number)

    async def signaled():
        sdk = Sdk(signals=(number,))
        ended, task = await one_running(sdk)
        assert sdk.ask() == SLOTS
        os.kill(os.getpid(), number)
        assert sdk.ask() == 0
        ended.set()
        await task

    try:
        asyncio.run(signaled())
    finally:
        signal.signal(number, before)


def test_an_idle_worker_pauses_before_it_asks_a_platform_again_that_answered_at_once():
    sdk = Sdk()
    sdk.ask()
    for _ in range(5):
        assert sdk.ask(after=0.001) == SLOTS
    assert sdk.pauses == pytest.approx([FETCH_S - 0.001] * 5)


def test_a_platform_that_holds_its_answers_is_asked_again_at_once():
    sdk = Sdk()
    for _ in range(100):
        assert sdk.ask(after=FETCH_S) == SLOTS
    assert sdk.pauses == []


def test_while_a_job_runs_the_loop_is_not_paused_but_after_many_empty_answers_nothing_is_fetched_ahead():
    async def busy():
        sdk = Sdk()
        ended, task = await one_running(sdk)
        sdk.ask()
        answers = [sdk.ask(after=0.001) for _ in range(FAST_FETCHES + 1)]
        ended.set()
        await task
        return answers, sdk.pauses, sdk.ask()

    answers, pauses, afterwards = asyncio.run(busy())
    assert answers[:-1] == [SLOTS] * FAST_FETCHES
    assert answers[-1] == 1  # the running one
    assert pauses == []
    assert afterwards == SLOTS


def test_an_answer_with_a_job_is_not_counted_as_fast():
    async def busy():
        sdk = Sdk()
        ended, task = await one_running(sdk)
        sdk.ask()
        for _ in range(FAST_FETCHES):
            sdk.ask(after=0.001)
        sdk.in_hand += 1
        sdk.ask(after=0.001)
        sdk.in_hand -= 1
        answer = sdk.ask(after=0.001)
        ended.set()
        await task
        return answer

    assert asyncio.run(busy()) == SLOTS
