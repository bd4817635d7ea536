from __future__ import annotations

import pytest
import torch

from fooocus_engine.sampling.solvers.protocol import ancestral, toward


@pytest.mark.parametrize(("sigma", "target"), [(14.6, 10.0), (1.0, 0.9), (0.5, 0.01)])
def test_what_is_stepped_down_to_and_what_is_added_make_up_the_target(sigma: float, target: float):
    down, up = ancestral(sigma, target)
    assert down**2 + up**2 == pytest.approx(target**2)
    assert 0 < down < target


def test_nothing_is_added_on_the_way_to_zero():
    assert ancestral(0.03, 0.0) == (0.0, 0.0)


def test_a_step_to_zero_is_exactly_the_estimate():
    x, x0 = torch.full((3,), 7.0), torch.tensor([0.1, 0.2, 0.3])
    assert torch.equal(toward(x, x0, 0.7, 0.0), x0)


def test_a_step_to_where_it_starts_changes_nothing():
    x, x0 = torch.tensor([4.0]), torch.tensor([1.0])
    assert torch.equal(toward(x, x0, 0.5, 0.5), x)
