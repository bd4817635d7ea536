"""Few-step teaching: what a student must answer, so that one step does what a guided teacher does in many.

The noise levels are those at which the product runs a mode. From each of them the teacher walks to the next one along
its own ODE with guidance (skipping-step DDIM); there the student's own answer is the target ("end": latent consistency
distillation, Luo et al. 2023, arXiv:2310.04378, which Hyper-SD's consistency builds on), or the place that was reached
is ("next": progressive distillation, Salimans & Ho 2022, arXiv:2202.00512, which Lightning builds on). Knows no files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from builder.starter.conditions import Conditions
from builder.starter.denoising import layered_square
from builder.starter.timetable import Timetable
from fooocus_engine.sampling.model_sampling import (
    FEW_STEP_SKIP,
    LCM_SIGMA_DATA_SQUARED,
    LCM_TIME_SCALE,
    TRAIN_STEPS,
    discrete_sampling,
)
from fooocus_engine.sampling.settings import GuidanceSettings

Aim = Literal["end", "next"]
Estimate = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Noisy latents ``[B, 4, h, w]``, sigmas and timesteps ``[B]`` → clean ones."""

GUIDANCE = GuidanceSettings().cfg  # what the product asks of the model where it is not distilled
BETWEEN = 0.25  # share of starts off the mode's own noise levels: runs of other lengths, and parts of runs
LEAST_WALK = 60  # training steps from such a start to the level it lands on, at least
HUBER = 0.02  # error below which the loss is quadratic (Song & Dhariwal 2023, arXiv:2310.14189)


@dataclass(frozen=True, eq=False)
class Walk:
    """Where each sample begins and lands; a sigma of 0 is the clean latent."""

    start: Tensor
    """Sigmas ``[B]``."""
    start_timesteps: Tensor
    landing: Tensor
    landing_timesteps: Tensor
    from_nothing: Tensor
    """``[B]``, whether the run begins here, with noise and no picture in it."""


@dataclass(frozen=True, eq=False)
class Distillation:
    """A loss of the student."""

    teacher: Estimate
    """With guidance already in it."""
    student: Estimate
    timetable: Timetable
    aim: Aim
    parts: int
    """Steps of the teacher from start to landing."""

    def loss(self, latents: Tensor) -> Tensor:
        """Mean over ``latents [B, 4, h, w]`` of deviation 1: pseudo-Huber, every noise level weighing the same."""
        walk = self.drawn(len(latents))
        x = begun(latents, walk)
        with torch.no_grad():
            target = self.target(x, walk)
        off = layered_square(self.student(x, walk.start, walk.start_timesteps) - target)
        # The network's output is multiplied by sigma: without the division the noisiest level would decide alone.
        return (((off + HUBER**2).sqrt() - HUBER) / walk.start.to(x.device)).mean()

    def drawn(self, count: int) -> Walk:
        """Starts by lot, at or (consistency only) between the mode's own levels."""
        table = self.timetable
        index = torch.randint(len(table.timesteps), (count,))
        start, timesteps, landing = table.sigmas[index], table.timesteps[index], index + 1
        if self.aim == "end":
            between = torch.rand(count) < BETWEEN
            entry = FEW_STEP_SKIP * torch.randint(1, TRAIN_STEPS // FEW_STEP_SKIP + 1, (count,)) - 1
            start = torch.where(between, _TABLE.sigmas[entry], start)
            timesteps = torch.where(between, entry.float(), timesteps)
            below = (table.timesteps > entry[:, None] - LEAST_WALK).sum(1)
            landing = torch.where(between, below, landing)
            index = torch.where(between, 1, index)
        told = torch.cat([table.timesteps, torch.zeros(1)])
        return Walk(start, timesteps, table.sigmas[landing], told[landing], index == 0)

    def target(self, x: Tensor, walk: Walk) -> Tensor:
        """What the student must answer at ``x``."""
        landed = walked(self.teacher, x, walk, self.parts)
        if self.aim == "next":
            ratio = _wide(walk.landing / walk.start, x)
            return (landed - ratio * x) / (1 - ratio)
        at_end = _wide(walk.landing == 0, x)
        clean = self.student(landed, walk.landing.clamp(min=float(_TABLE.sigmas[0])), walk.landing_timesteps)
        return torch.where(at_end, landed, clean)


_TABLE = discrete_sampling()


def begun(latents: Tensor, walk: Walk) -> Tensor:
    """``latents`` with the noise of their starts; where a run begins, noise alone (sampling.md §3)."""
    noise, sigma = torch.randn_like(latents), _wide(walk.start, latents)
    return torch.where(_wide(walk.from_nothing, latents), noise * (1 + sigma**2).sqrt(), latents + noise * sigma)


def walked(teacher: Estimate, x: Tensor, walk: Walk, parts: int) -> Tensor:
    """``x`` moved along the teacher's ODE from start to landing: steps of DDIM at even distances in training steps."""
    first, last = table_timesteps(walk.start), torch.where(walk.landing > 0, table_timesteps(walk.landing), 0)
    path = [first + (last - first) * part / parts for part in range(parts)]
    sigmas = [walk.start, *(_TABLE.sigma(timesteps) for timesteps in path[1:]), walk.landing]
    for timesteps, (sigma, reached) in zip(path, pairwise(sigmas), strict=True):
        clean = teacher(x, sigma, timesteps.round())
        x = clean + (x - clean) * _wide(reached / sigma, x)
    return x


def table_timesteps(sigmas: Tensor) -> Tensor:
    """The nearest entries of the full table, ``[B]`` float."""
    return (sigmas[:, None].log() - _TABLE.sigmas.log()).abs().argmin(1).float()


def guided(unet: nn.Module, conditions: Conditions, empty: Conditions) -> Estimate:
    """``unet`` under the product's default guidance against the empty text."""
    both = conditions.without_text(empty).followed_by(conditions)

    def estimate(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
        twice = (tensor.repeat(2, *[1] * (tensor.ndim - 1)) for tensor in (x, sigma, timesteps))
        without, with_text = clean(unet, both, *twice).chunk(2)
        return without + (with_text - without) * GUIDANCE

    return estimate


def clean(unet: nn.Module, conditions: Conditions, x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
    """The clean latents that ``unet`` sees in ``x`` (sampling.md §1.1)."""
    wide = _wide(sigma, x)
    return x - wide * conditions.noise(unet, x / (1 + wide**2).sqrt(), timesteps)


def bounded(estimate: Estimate) -> Estimate:
    """``estimate`` with the boundary scaling that makes it give back what has no noise (sampling.md §1.3)."""

    def scaled(x: Tensor, sigma: Tensor, timesteps: Tensor) -> Tensor:
        time = _wide(LCM_TIME_SCALE * timesteps, x)
        variance = time**2 + LCM_SIGMA_DATA_SQUARED
        return estimate(x, sigma, timesteps) * (time / variance.sqrt()) + x * (LCM_SIGMA_DATA_SQUARED / variance)

    return scaled


def _wide(values: Tensor, beside: Tensor) -> Tensor:
    return values[:, None, None, None].to(beside.device)
