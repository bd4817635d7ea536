from __future__ import annotations

from itertools import pairwise

import pytest

from fooocus_engine.sampling.schedules import karras_sigmas
from fooocus_engine.sampling.solvers.heun import restart_pairs


@pytest.mark.parametrize("steps", [1, 8, 19, 20, 30, 35, 36, 60])
def test_restarts_are_paid_for_by_fewer_ordinary_steps(steps: int):
    assert len(restart_pairs(karras_sigmas(steps, 0.03, 14.6))) == steps


def test_short_runs_are_not_restarted():
    pairs = restart_pairs(karras_sigmas(19, 0.03, 14.6))
    assert all(end == start for (_, end), (start, _) in pairwise(pairs))


@pytest.mark.parametrize(("steps", "jumps"), [(20, 1), (35, 1), (36, 2), (60, 2)])
def test_long_runs_jump_back_up_near_a_tenth(steps: int, jumps: int):
    pairs = restart_pairs(karras_sigmas(steps, 0.03, 14.6))
    back = [(end, start) for (_, end), (start, _) in pairwise(pairs) if start > end]
    assert len(back) == jumps
    assert all(end < 0.3 and 1.2 < start < 3 for end, start in back)
    assert pairs[-1][1] == 0
