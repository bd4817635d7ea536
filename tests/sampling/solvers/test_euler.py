from __future__ import annotations

import torch

from fooocus_engine.sampling.schedules import karras_sigmas
from tests.sampling.solvers.analytic import SHAPE, Gaussian, run

SIGMAS = karras_sigmas(200, 0.0292, 14.6146)


def test_euler_keeps_a_normal_distribution_normal():
    x = torch.randn((1, 4, 64, 64), generator=torch.Generator().manual_seed(0)) * 14.6
    result, _ = run("euler", Gaussian(torch.tensor(0.0), 0.7), x, SIGMAS)
    assert abs(float(result.std()) - 0.7) < 0.02  # first order, 200 steps


def test_ancestral_noise_does_not_change_the_spread():
    x = torch.randn((1, 4, 64, 64), generator=torch.Generator().manual_seed(0)) * 14.6
    for name in ("euler_ancestral", "ddpm"):
        result, _ = run(name, Gaussian(torch.tensor(0.0), 0.7), x, SIGMAS)
        assert abs(float(result.std()) - 0.7) < 0.03


def test_reports_hold_what_the_step_starts_from():
    x = torch.ones(SHAPE) * 14.6
    _, steps = run("euler", Gaussian(torch.zeros(SHAPE), 1.0), x, SIGMAS)
    assert torch.equal(steps[0].x, x)
    assert (steps[-1].index, steps[-1].total) == (199, 200)
