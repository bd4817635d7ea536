from __future__ import annotations

import pytest
import torch

from fooocus_engine.errors import EngineError
from fooocus_engine.sampling.model_sampling import discrete_sampling, edm_sampling, few_step_sampling
from fooocus_engine.sampling.schedules import karras_sigmas, sgm_uniform_sigmas
from fooocus_engine.sampling.solvers.consistency import Tcd
from tests.sampling.solvers.analytic import SHAPE, Gaussian, run


def test_tcd_lands_at_the_timesteps_of_the_specification():
    tables = few_step_sampling("epsilon")
    signal = Tcd(tables).signal(sgm_uniform_sigmas(8, tables).tolist())
    expected = [699, 615, 531, 447, 349, 265, 181, 97, 0]  # sampling.md §4
    assert signal == tables.alphas_cumprod[expected].tolist()


def test_tcd_needs_a_table():
    with pytest.raises(EngineError, match="tcd"):
        Tcd(edm_sampling()).signal([14.6, 0.0])


def test_tcd_on_sigmas_that_its_table_does_not_allow_is_not_a_number():
    sigmas = karras_sigmas(8, *discrete_sampling().sigmas[[0, -1]].tolist())
    result, _ = run("tcd", Gaussian(torch.zeros(SHAPE), 0.7), torch.ones(SHAPE), sigmas)
    assert torch.isnan(result).all()


def test_lcm_draws_once_less_than_it_steps():
    clean = torch.zeros(SHAPE)
    _, steps = run("lcm", lambda x, sigma: clean, torch.ones(SHAPE), karras_sigmas(4, 0.03, 14.6))
    noises = [step.x / sigma for step, sigma in zip(steps[1:], karras_sigmas(4, 0.03, 14.6)[1:], strict=False)]
    assert len({float(noise.sum()) for noise in noises}) == 3
    assert all(abs(float(noise.std()) - 1) < 0.2 for noise in noises)
