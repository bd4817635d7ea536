from __future__ import annotations

import pytest
import torch

from fooocus_engine.sampling.schedules import karras_sigmas
from tests.sampling.solvers.analytic import SHAPE, Gaussian, run


def test_two_estimates_give_second_order():
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)) * 14.6
    exact = x * (0.7**2 / (0.7**2 + 14.6**2)) ** 0.5
    errors = []
    for steps in (20, 40):
        result, _ = run("dpmpp_2m", Gaussian(torch.zeros(SHAPE), 0.7), x, karras_sigmas(steps, 0.001, 14.6))
        errors.append(float((result - exact).abs().max()))
    assert errors[0] / errors[1] > 3  # 4 for an ideal second-order method


@pytest.mark.parametrize("name", ["dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"])
def test_noise_of_the_steps_does_not_change_the_spread(name: str):
    x = torch.randn((1, 4, 64, 64), generator=torch.Generator().manual_seed(0)) * 14.6
    result, _ = run(name, Gaussian(torch.tensor(0.0), 0.7), x, karras_sigmas(60, 0.0292, 14.6146))
    assert abs(float(result.std()) - 0.7) < 0.03


@pytest.mark.parametrize("name", ["dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"])
def test_both_names_of_a_stochastic_sampler_give_the_same_bits(name: str):
    x = torch.ones(SHAPE) * 14.6
    denoise = Gaussian(torch.zeros(SHAPE), 0.7)
    sigmas = karras_sigmas(8, 0.0292, 14.6146)
    assert torch.equal(run(name, denoise, x, sigmas)[0], run(f"{name}_gpu", denoise, x, sigmas)[0])
