from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fooocus_engine.sampling.schedules import karras_sigmas
from tests.sampling.solvers.analytic import SHAPE, Gaussian, run


@pytest.mark.parametrize("steps", range(1, 12))
def test_dpm_fast_evaluates_once_per_step(steps: int):
    calls: list[float] = []

    def denoise(x: Tensor, sigma: float) -> Tensor:
        calls.append(sigma)
        return x / (1 + sigma**2)

    run("dpm_fast", denoise, torch.ones(SHAPE), karras_sigmas(steps, 0.03, 14.6))
    assert len(calls) == steps


def test_the_steps_of_dpm_adaptive_do_not_depend_on_the_number_asked_for():
    denoise = Gaussian(torch.zeros(SHAPE), 0.7)
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) * 14.6
    few, _ = run("dpm_adaptive", denoise, x, karras_sigmas(4, 0.03, 14.6))
    many, _ = run("dpm_adaptive", denoise, x, karras_sigmas(40, 0.03, 14.6))
    assert torch.equal(few, many)


def test_dpm_adaptive_comes_close_to_the_exact_answer():
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) * 14.6
    result, _ = run("dpm_adaptive", Gaussian(torch.zeros(SHAPE), 0.7), x, karras_sigmas(4, 0.03, 14.6))
    exact = x * ((0.7**2 + 0.03**2) / (0.7**2 + 14.6**2)) ** 0.5  # the flow keeps x/standard deviation
    assert torch.allclose(result, exact, rtol=0.05, atol=0.0078)  # the solver's tolerances per step
