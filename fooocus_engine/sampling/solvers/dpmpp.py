"""The DPM-Solver++ family (Lu et al. 2022, arXiv:2211.01095), single- and multistep, with and without noise.

Formulas: sampling.md §4. Time is ``t = −ln sigma``; ``h`` is a step in it.
"""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

from torch import Tensor

from fooocus_engine.sampling.elementary import exp, log
from fooocus_engine.sampling.solvers.protocol import Denoiser, SolverNoise, ancestral, toward
from fooocus_engine.types import OnStep, Step


def dpmpp_2s_ancestral(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Second order by a midpoint, below each noise level, filled up with fresh noise."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        down, up = ancestral(sigma, target)
        if down == 0:
            x = toward(x, x0, sigma, down)
        else:
            middle = math.sqrt(sigma * down)
            x = toward(x, denoise(toward(x, x0, sigma, middle), middle), sigma, down)
        if target > 0:
            x = x.add_(noise.step(), alpha=up)
    return x


def dpmpp_sde(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Second order by a midpoint, both half and whole step with noise of the Brownian path."""
    times = -log(sigmas)
    # The path is resolved to 1e-6, where it is rough: ask it for the sigmas that float32 arithmetic in t arrives at.
    levels = exp(-times).tolist()
    middles = exp(-(times[:-1] + times.diff() * 0.5)).tolist()
    total = len(levels) - 1
    for i, (sigma, middle, target) in enumerate(zip(levels[:-1], middles, levels[1:], strict=True)):
        x0 = denoise(x, float(sigmas[i]))
        on_step(Step(i, total, x, x0))
        if target == 0:
            x = toward(x, x0, sigma, target)
            continue
        down, up = ancestral(sigma, middle)
        half = toward(x, x0, sigma, down).add_(noise.between(sigma, middle), alpha=up)
        # With the midpoint at half the step the second estimate replaces the first altogether.
        down, up = ancestral(sigma, target)
        x = toward(x, denoise(half, middle), sigma, down).add_(noise.between(sigma, target), alpha=up)
    return x


def dpmpp_2m(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Second order by the previous estimate (arXiv:2211.01095, alg. 2)."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    previous: Tensor | None = None
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        extrapolated = x0
        if previous is not None and target > 0:
            ratio = math.log(levels[i - 1] / sigma) / math.log(sigma / target)
            extrapolated = x0 + (x0 - previous) / (2 * ratio)
        x = toward(x, extrapolated, sigma, target)
        previous = x0
    return x


def dpmpp_2m_sde(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """``dpmpp_2m`` as a stochastic differential equation (midpoint form, eta 1)."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    previous: Tensor | None = None
    h_last = 0.0
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        if target == 0:
            x = x0
            continue
        h = math.log(sigma / target)
        gain = -math.expm1(-2 * h)
        x = x * (target / sigma * math.exp(-h)) + x0 * gain
        if previous is not None:
            x = x.add_(x0 - previous, alpha=0.5 * gain * h / h_last)
        x = x.add_(noise.between(sigma, target), alpha=target * math.sqrt(gain))
        previous, h_last = x0, h
    return x


def dpmpp_3m_sde(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Third order by the two previous estimates, as a stochastic differential equation (eta 1)."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    past: deque[tuple[Tensor, float]] = deque(maxlen=2)  # (estimate, step after it), newest first
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        if target == 0:
            x = x0
            continue
        h = math.log(sigma / target)
        gain = -math.expm1(-2 * h)
        x = x * math.exp(-2 * h) + x0 * gain
        x = _add_curvature(x, x0, past, h=h)
        x = x.add_(noise.between(sigma, target), alpha=target * math.sqrt(gain))
        past.appendleft((x0, h))
    return x


def _add_curvature(x: Tensor, x0: Tensor, past: deque[tuple[Tensor, float]], *, h: float) -> Tensor:
    """Terms of second and third order; ``phi_2`` and ``phi_3`` are the exponential integrators of ``2h``."""
    if not past:
        return x
    phi_2 = math.expm1(-2 * h) / (2 * h) + 1
    (x0_1, h_1), *older = past
    first = (x0 - x0_1) * (h / h_1)
    if not older:
        return x.add_(first, alpha=phi_2)
    phi_3 = phi_2 / (2 * h) - 0.5
    x0_2, h_2 = older[0]
    r_0, r_1 = h_1 / h, h_2 / h
    second = (x0_1 - x0_2) / r_1
    bend = (first - second) / (r_0 + r_1)
    return x.add_(first + bend * r_0, alpha=phi_2).sub_(bend, alpha=phi_3)
