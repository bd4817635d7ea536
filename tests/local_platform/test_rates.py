"""Limits of requests, over a clock that a test moves."""

import pytest

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.rates import Rates
from fooocus_engine.local_platform.refusals import TooManyRequests


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def ask(rates, operation="run"):
    with rates.admitted(operation):
        pass


def test_a_window_takes_so_many_and_then_none_until_the_first_is_old():
    clock = Clock()
    rates = Rates(clock, {"run": (2, 9)})
    ask(rates)
    clock.now = 4
    ask(rates)
    with pytest.raises(TooManyRequests, match="more than 2 run requests in 10 s"):
        ask(rates)
    clock.now = limits.RATE_WINDOW_S
    ask(rates)
    with pytest.raises(TooManyRequests):
        ask(rates)


def test_so_many_are_taken_at_a_time():
    rates = Rates(Clock(), {"run": (9, 1)})
    with rates.admitted("run"):
        with pytest.raises(TooManyRequests, match="more than 1 run requests at a time"):
            ask(rates)
        with pytest.raises(TooManyRequests):
            ask(rates)
    ask(rates)


def test_operations_do_not_share_their_limits_and_unnamed_ones_have_none():
    rates = Rates(Clock(), {"run": (1, 1), "cancel": (1, 1)})
    ask(rates)
    ask(rates, "cancel")
    for _ in range(50):
        ask(rates, "ping")
