from __future__ import annotations

import pytest
import torch

from fooocus_engine.errors import UnknownName
from fooocus_engine.sampling.model_sampling import discrete_sampling
from fooocus_engine.sampling.schedules import karras_sigmas, sgm_uniform_sigmas
from fooocus_engine.sampling.settings import SAMPLERS
from fooocus_engine.sampling.solvers import SOLVERS, solver
from fooocus_engine.types import Step
from tests.sampling.solvers.analytic import SHAPE, Gaussian, noise, recordings, replay_error, run

ENDS_ABOVE_ZERO = {"dpm_fast", "dpm_adaptive", "tcd"}  # they stop where a little noise is left (sampling.md §4)
TOLERANCE_SHARE = 0.1  # of the recordings' 2e-4: what float32 leaves


def test_every_accepted_sampler_has_a_solver_and_no_other_exists():
    assert tuple(SOLVERS) == SAMPLERS


def test_an_unknown_sampler_is_refused_by_name():
    with pytest.raises(UnknownName, match="eular"):
        solver("eular", discrete_sampling())


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_solver_repeats_what_the_reference_did(name: str):
    records = recordings(name)
    assert records
    assert max(replay_error(record) for record in records) < TOLERANCE_SHARE


@pytest.mark.parametrize("name", sorted(set(SAMPLERS) - ENDS_ABOVE_ZERO))
@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_a_solver_returns_the_answer_of_a_perfect_denoiser(name: str, steps: int):
    clean = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1))
    sigmas = sgm_uniform_sigmas(steps, discrete_sampling())
    result, _ = run(name, lambda x, sigma: clean, clean + 14.6, sigmas)
    # UniPC stops at sigma 0.001, where a ten-thousandth of the first noise is left.
    assert torch.allclose(result, clean, atol=2e-2 if name.startswith("uni_pc") else 1e-4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_solver_leaves_its_input_alone(name: str):
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(1)) * 14.6
    kept = x.clone()
    run(name, Gaussian(torch.zeros(SHAPE), 1.0), x, karras_sigmas(5, 0.03, 14.6))
    assert torch.equal(x, kept)


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_on_step_raises_ends_the_run_at_once(name: str):
    class Canceled(Exception):
        pass

    calls: list[float] = []

    def denoise(x, sigma):
        calls.append(sigma)
        return x * 0

    def cancel(step: Step) -> None:
        raise Canceled

    found = solver(name, discrete_sampling())
    with pytest.raises(Canceled):
        found(denoise, torch.ones(SHAPE), karras_sigmas(10, 0.03, 14.6), noise=noise(), on_step=cancel)
    assert len(calls) <= 3  # dpm_adaptive reports after the three evaluations of its first attempt


@pytest.mark.parametrize("name", SAMPLERS)
def test_steps_are_counted_from_zero(name: str):
    _, steps = run(name, Gaussian(torch.zeros(SHAPE), 1.0), torch.ones(SHAPE) * 14.6, karras_sigmas(6, 0.03, 14.6))
    assert [step.index for step in steps] == list(range(len(steps)))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_denoiser_that_fails_gives_a_result_that_shows_it(name: str):
    result, _ = run(name, lambda x, sigma: x * float("nan"), torch.ones(SHAPE), karras_sigmas(4, 0.03, 14.6))
    assert torch.isnan(result).all()
