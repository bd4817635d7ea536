"""Solvers of first order: Euler with and without fresh noise, and DDPM. Formulas: sampling.md §4."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor

from fooocus_engine.sampling.solvers.protocol import Denoiser, SolverNoise, ancestral, toward
from fooocus_engine.types import OnStep, Step


def euler(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """One straight line per noise level (Karras et al. 2022, arXiv:2206.00364, alg. 2 without churn)."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        x = toward(x, x0, sigma, target)
    return x


def euler_ancestral(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Euler steps below each noise level, filled up with fresh noise."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        down, up = ancestral(sigma, target)
        x = toward(x, x0, sigma, down)
        if target > 0:
            x = x.add_(noise.step(), alpha=up)
    return x


def ddpm(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Ancestral sampling of Ho et al. 2020 (arXiv:2006.11239, alg. 2), between any two noise levels."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        signal, signal_next = 1 / (sigma**2 + 1), 1 / (target**2 + 1)
        alpha = signal / signal_next
        eps = (x - x0) / sigma
        mean = (x * math.sqrt(signal) - eps * ((1 - alpha) / math.sqrt(1 - signal))) / math.sqrt(alpha)
        if target > 0:
            deviation = math.sqrt((1 - alpha) * (1 - signal_next) / (1 - signal))
            mean = mean.add_(noise.step(), alpha=deviation) * math.sqrt(1 + target**2)
        x = mean
    return x
