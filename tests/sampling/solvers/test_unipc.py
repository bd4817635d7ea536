from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fooocus_engine.sampling.schedules import karras_sigmas
from tests.sampling.solvers.analytic import SHAPE, Gaussian, run


@pytest.mark.parametrize("name", ["uni_pc", "uni_pc_bh2"])
def test_the_last_step_ends_just_above_zero(name: str):
    calls: list[float] = []

    def denoise(x: Tensor, sigma: float) -> Tensor:
        calls.append(sigma)
        return x * 0

    result, _ = run(name, denoise, torch.full(SHAPE, 10.0), karras_sigmas(5, 0.03, 10.0))
    assert len(calls) == 5
    assert torch.allclose(result, torch.full(SHAPE, 0.001))  # all noise: x is the noise level


@pytest.mark.parametrize("name", ["uni_pc", "uni_pc_bh2"])
def test_twice_the_steps_give_much_less_error(name: str):
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) * 14.6
    exact = x * ((0.7**2 + 0.001**2) / (0.7**2 + 14.6**2)) ** 0.5
    errors = []
    for steps in (20, 40):
        result, _ = run(name, Gaussian(torch.zeros(SHAPE), 0.7), x, karras_sigmas(steps, 0.002, 14.6))
        errors.append(float((result - exact).abs().max()))
    assert errors[0] / errors[1] > 3
    assert errors[1] < 1e-3


@pytest.mark.parametrize("name", ["uni_pc", "uni_pc_bh2"])
def test_a_step_is_reported_after_its_update(name: str):
    result, steps = run(name, Gaussian(torch.zeros(SHAPE), 0.7), torch.ones(SHAPE), karras_sigmas(5, 0.03, 14.6))
    assert torch.equal(steps[-1].x, result)
    assert (steps[-1].index, steps[-1].total) == (4, 5)
