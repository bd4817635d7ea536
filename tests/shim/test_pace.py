"""The budget of looks at the platform, with a clock of our own."""

import asyncio
import time

from hypothesis import given
from hypothesis import strategies as st

from fooocus_engine.shim.pace import Budget


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@given(st.lists(st.floats(0, 0.2), max_size=200))
def test_no_more_is_allowed_than_the_rate(pauses):
    clock = Clock()
    budget = Budget(50, clock)
    taken = 0
    for pause in pauses:
        clock.now += pause
        while budget.take():
            taken += 1
    assert taken <= 50 + 50 * clock.now + 1e-6


def test_a_second_brings_the_rate_back():
    clock = Clock()
    budget = Budget(5, clock)
    assert [budget.take() for _ in range(6)] == [True] * 5 + [False]
    clock.now = 0.2
    assert [budget.take() for _ in range(2)] == [True, False]
    clock.now = 100
    assert [budget.take() for _ in range(6)] == [True] * 5 + [False]


def test_a_platform_that_asks_for_rest_is_left_alone():
    clock = Clock()
    budget = Budget(10, clock)
    budget.rest(5)
    clock.now = 4.9
    assert not budget.take()
    clock.now = 5.05
    assert budget.take()


def test_who_waits_gets_one():
    budget = Budget(1000, time.monotonic)

    async def many():
        for _ in range(1010):
            await budget.wait()

    asyncio.run(many())
