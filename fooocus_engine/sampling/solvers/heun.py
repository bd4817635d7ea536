"""Solvers of second order that average slopes: Heun, its three-point variant, and Restart. Formulas: sampling.md §4."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from fooocus_engine.sampling.schedules import karras_sigmas
from fooocus_engine.sampling.solvers.protocol import Denoiser, SolverNoise, toward
from fooocus_engine.types import OnStep, Step

RESTART_AT, RESTART_FROM = 0.1, 2.0  # go back up from the first to the second sigma
MANY_STEPS, ENOUGH_STEPS, SHORT_RESTART = 36, 20, 9


def heun(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """The mean of the slopes at both ends of each step (Karras et al. 2022, arXiv:2206.00364, alg. 2)."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        x = _heun_step(denoise, x, x0, sigma=sigma, target=target)
    return x


def heunpp2(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Heun with slopes at up to three noise levels, weighted by sigma (sampling.md §4)."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i, sigma in enumerate(levels[:-1]):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        # The last two steps look ahead less far: nothing can be asked at sigma 0.
        ahead = min(2, total - 1 - i)
        weights = [level / ((ahead + 1) * levels[0]) for level in levels[i + 1 : i + 1 + ahead]]
        x = _weighted_step(denoise, x, x0, levels=levels[i : i + 3], weights=weights)
    return x


def restart(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Heun steps that jump back to a noisier level and descend again (Xu et al. 2023, arXiv:2306.14878)."""
    pairs = restart_pairs(sigmas)
    end = pairs[0][0] if pairs else 0.0
    for i, (sigma, target) in enumerate(pairs):
        if sigma > end:
            x = x.add(noise.step(), alpha=math.sqrt(sigma**2 - end**2))
        x0 = denoise(x, sigma)
        on_step(Step(i, len(pairs), x, x0))
        x = _heun_step(denoise, x, x0, sigma=sigma, target=target)
        end = target
    return x


def restart_pairs(sigmas: Tensor) -> list[tuple[float, float]]:
    """(start, end) of each step of ``restart``: as many as ``sigmas`` has steps, part of them spent on restarts."""
    total = len(sigmas) - 1
    if total < ENOUGH_STEPS:
        return _neighbours(sigmas)
    steps, times = (total // 4, 2) if total >= MANY_STEPS else (SHORT_RESTART, 1)
    sigmas = karras_sigmas(total - steps * times, float(sigmas[-2]), float(sigmas[0]))
    bottom = int((sigmas - RESTART_AT).abs().argmin())
    top = int((sigmas - RESTART_FROM).abs().argmin())
    pairs = _neighbours(sigmas)
    if top >= bottom:
        return pairs
    again = _neighbours(karras_sigmas(steps + 1, float(sigmas[bottom]), float(sigmas[top]))[:-1])
    return pairs[:bottom] + again * times + pairs[bottom:]


def _neighbours(sigmas: Tensor) -> list[tuple[float, float]]:
    levels = sigmas.tolist()
    return list(pairwise(levels))


def _heun_step(denoise: Denoiser, x: Tensor, x0: Tensor, *, sigma: float, target: float) -> Tensor:
    if target == 0:
        return toward(x, x0, sigma, target)
    x2 = toward(x, x0, sigma, target)
    slope = (x - x0) / sigma + (x2 - denoise(x2, target)) / target
    return x + slope * ((target - sigma) / 2)


def _weighted_step(denoise: Denoiser, x: Tensor, x0: Tensor, *, levels: list[float], weights: list[float]) -> Tensor:
    """One step from ``levels[0]`` to ``levels[1]``; each weight is the share of the slope at the next level."""
    slope = (x - x0) / levels[0]
    mean = slope * (1 - sum(weights))
    ahead = x
    for i, weight in enumerate(weights):
        ahead = ahead + slope * (levels[i + 1] - levels[i])
        slope = (ahead - denoise(ahead, levels[i + 1])) / levels[i + 1]
        mean = mean + slope * weight
    return x + mean * (levels[1] - levels[0])
