from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from builder.starter.distillation import Distillation, Walk, begun, bounded, walked
from builder.starter.timetable import timetable
from fooocus_engine.endpoints.generate.performance import MODES, Performance
from fooocus_engine.sampling.model_sampling import few_step_sampling
from fooocus_engine.sampling.solvers.euler import euler

LCM = timetable(MODES[Performance.EXTREME_SPEED])
LIGHTNING = timetable(MODES[Performance.LIGHTNING])
CLEAN = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
NO_NOISE: Any = None
CLOSE = 2e-4  # float32, sums of numbers of 14


def knowing(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
    """A perfect estimate of a world of one picture."""
    return CLEAN.expand_as(x)


def gaussian(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
    """A perfect estimate of latents of deviation 1, whose ODE is known: x / sqrt(1 + sigma²) stays."""
    return x / (1 + sigma[:, None, None, None] ** 2)


def walk(start: list[float], landing: list[float]) -> Walk:
    nothing = torch.zeros(len(start))
    return Walk(torch.tensor(start), nothing, torch.tensor(landing), nothing, nothing.bool())


def test_the_boundary_scaling_is_the_one_of_the_engine():
    engine = few_step_sampling("lcm")
    x = torch.randn(1, 4, 8, 8)
    for sigma in (float(engine.sigmas[0]), 0.7, 14.6):
        wanted = engine.denoised(x, (x - CLEAN) / sigma, sigma)
        told = torch.tensor([engine.timestep(sigma)])
        assert torch.allclose(bounded(knowing)(x, torch.tensor([sigma]), told), wanted, atol=1e-5)


def test_what_has_no_noise_is_given_back():
    x = torch.randn(1, 4, 8, 8)
    assert torch.equal(bounded(knowing)(x, torch.zeros(1), torch.zeros(1)), x)


def test_a_teacher_that_knows_the_picture_walks_straight_towards_it():
    x = CLEAN + 7 * torch.ones(2, 4, 8, 8)
    made = walked(knowing, x, walk([7.0, 7.0], [2.0, 0.0]), 3)
    assert torch.allclose(made, CLEAN + torch.tensor([2.0, 0.0])[:, None, None, None], atol=CLOSE)


def test_a_walk_follows_the_teachers_ode():
    x = torch.randn(1, 4, 8, 8)
    start, landing = 2.5628578662872314, 1.667901873588562
    wanted = x * ((1 + landing**2) / (1 + start**2)) ** 0.5
    coarse, fine = (walked(gaussian, x, walk([start], [landing]), parts) for parts in (3, 30))
    assert torch.allclose(coarse, wanted, rtol=0.03)  # steps of first order
    assert torch.allclose(fine, wanted, rtol=0.003)


def test_every_start_of_consistency_lands_on_a_level_of_the_mode_or_at_the_end():
    drawn = Distillation(knowing, knowing, LCM, "end", 3).drawn(500)
    assert (drawn.landing < drawn.start).all()
    assert set(drawn.landing.tolist()) <= set(LCM.sigmas.tolist())
    own = torch.isin(drawn.start, LCM.sigmas)
    assert 0.6 < own.float().mean() < 0.9
    assert set(drawn.start[own].tolist()) >= set(LCM.sigmas[:-1].tolist())
    assert set(drawn.start[drawn.from_nothing].tolist()) == {float(LCM.sigmas[0])}


def test_progressive_starts_are_those_of_the_mode_and_land_on_the_next():
    drawn = Distillation(knowing, knowing, LIGHTNING, "next", 3).drawn(200)
    following = dict(zip(LIGHTNING.sigmas[:-1].tolist(), LIGHTNING.sigmas[1:].tolist(), strict=True))
    assert set(drawn.start.tolist()) == set(following)
    assert all(following[s] == e for s, e in zip(drawn.start.tolist(), drawn.landing.tolist(), strict=True))


def test_a_run_begins_with_noise_alone():
    latents = torch.full((2, 4, 64, 64), 100.0)
    drawn = walk([14.6, 14.6], [1.0, 1.0])
    x = begun(latents, Walk(drawn.start, drawn.start, drawn.landing, drawn.landing, torch.tensor([True, False])))
    assert abs(float(x[0].mean())) < 1
    assert float(x[1].mean()) == pytest.approx(100, abs=1)
    assert float(x[0].std()) == pytest.approx((1 + 14.6**2) ** 0.5, rel=0.05)


def test_a_student_that_hits_the_progressive_target_does_in_its_steps_what_the_teacher_does():
    distillation = Distillation(gaussian, knowing, LIGHTNING, "next", 3)
    levels = LIGHTNING.sigmas.tolist()
    x = levels[0] * torch.randn(1, 4, 8, 8)

    def student(x: Tensor, sigma: float) -> Tensor:
        landing = levels[levels.index(sigma) + 1]
        return distillation.target(x, walk([sigma], [landing]))

    wanted = x
    for start, landing in pairwise(levels):
        wanted = walked(gaussian, wanted, walk([start], [landing]), 3)
    made = euler(student, x, LIGHTNING.sigmas, noise=NO_NOISE, on_step=lambda step: None)
    assert torch.allclose(made, wanted, atol=CLOSE)


def test_consistency_takes_the_students_answer_where_the_walk_lands_but_not_at_the_end():
    asked: list[float] = []

    def student(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
        asked.extend(sigma.tolist())
        return torch.full_like(x, 5.0)

    distillation = Distillation(knowing, student, LCM, "end", 3)
    target = distillation.target(torch.randn(2, 4, 8, 8), walk([2.0, 0.4], [1.0, 0.0]))
    assert torch.equal(target[0], torch.full_like(CLEAN, 5.0))
    assert torch.allclose(target[1], CLEAN, atol=CLOSE)
    assert asked[0] == 1.0


def test_the_loss_is_nothing_for_a_perfect_student_and_its_target_is_not_learned_from():
    latents = CLEAN.expand(16, -1, -1, -1)
    assert float(Distillation(knowing, knowing, LCM, "end", 3).loss(latents)) == pytest.approx(0, abs=1e-6)
    shift = torch.zeros(1, requires_grad=True)

    def moved(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
        return knowing(x, sigma, timesteps) + 1 + shift

    torch.manual_seed(0)
    Distillation(knowing, moved, LIGHTNING, "next", 3).loss(latents).backward()  # type: ignore[no-untyped-call]
    assert shift.grad is not None
    assert float(shift.grad) > 0
