"""The DPM-Solver family (Lu et al. 2022, arXiv:2206.00927): midpoint steps, and its fast and adaptive forms.

Formulas: sampling.md §4. Time is ``t = −ln sigma``; ``eps`` is the slope ``(x − x0)/sigma``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor

from fooocus_engine.sampling.elementary import exp, log
from fooocus_engine.sampling.solvers.protocol import Denoiser, SolverNoise, ancestral, toward
from fooocus_engine.types import OnStep, Step

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 0.05, 0.0078
FIRST_STEP = 0.05
ACCEPT_ABOVE = 0.81
ADAPTIVE_ORDER = 3
TINY = 1e-8
ARRIVED = 1e-5  # in units of t


def dpm_2(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """The slope at the geometric middle of each step."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        x = _midpoint_step(denoise, x, x0, sigma=sigma, target=target)
    return x


def dpm_2_ancestral(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """``dpm_2`` below each noise level, filled up with fresh noise."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        down, up = ancestral(sigma, target)
        x = _midpoint_step(denoise, x, x0, sigma=sigma, target=down)
        if down > 0:
            x = x.add_(noise.step(), alpha=up)
    return x


def _midpoint_step(denoise: Denoiser, x: Tensor, x0: Tensor, *, sigma: float, target: float) -> Tensor:
    if target == 0:
        return toward(x, x0, sigma, target)
    middle = math.sqrt(sigma * target)
    x2 = toward(x, x0, sigma, middle)
    return x + (x2 - denoise(x2, middle)) * ((target - sigma) / middle)


def dpm_fast(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Groups of up to three evaluations, in all as many as ``sigmas`` has steps. Reports each group, stops above 0."""
    start, end = _time_range(sigmas)
    evaluations = len(sigmas) - 1
    groups = evaluations // 3 + 1
    orders = [3] * (groups - 2) + [2, 1] if evaluations % 3 == 0 else [3] * (groups - 1) + [evaluations % 3]
    times = torch.linspace(float(start), float(end), groups + 1)
    for i, order in enumerate(orders):
        step = _Group(denoise, x, times[i], times[i + 1] - times[i])
        on_step(Step(i, len(orders), x, step.x0))
        x = (step.first_order, step.second_order, step.third_order)[order - 1]()
    return x


def dpm_adaptive(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Third order with a step size that keeps the distance to second order small. Reports every attempt, after it.

    Looks at a number on the device after each attempt, as any error control must.
    """
    now, end = _time_range(sigmas)
    size = _StepSize()
    previous = x
    attempts = 0
    while float(now) < float(end) - ARRIVED:
        step = _Group(denoise, x, now, torch.minimum(end, now + size.h) - now)
        low, high = step.second_order(1 / 3), step.third_order()
        error = _error(low, high, previous)
        if not math.isfinite(error):
            return high  # no step size would help
        if size.accepts(error):
            previous, x = low, high
            now = now + step.h
        on_step(Step(attempts, len(sigmas) - 1, x, step.x0))
        attempts += 1
    return x


def _time_range(sigmas: Tensor) -> tuple[Tensor, Tensor]:
    last = sigmas[-1] if sigmas[-1] > 0 else sigmas[-2]
    return -log(sigmas[0]), -log(last)


def _error(low: Tensor, high: Tensor, previous: Tensor) -> float:
    allowed = (low.abs().maximum(previous.abs()) * RELATIVE_TOLERANCE).clamp_min_(ABSOLUTE_TOLERANCE)
    return float(((low - high) / allowed).square_().mean().sqrt())


@dataclass
class _StepSize:
    """Integral controller of the step size: it looks at the last error only (proportional and derivative gain 0)."""

    h: float = FIRST_STEP

    def accepts(self, error: float) -> bool:
        """Whether a step with this error may stay; sets the size of the next attempt."""
        factor = 1 + math.atan((1 / (error + TINY)) ** (1 / ADAPTIVE_ORDER) - 1)
        self.h *= factor
        return factor >= ACCEPT_ABOVE


@dataclass(eq=False)
class _Group:
    """The solver's steps of order one to three from time ``t`` over ``h``; they share their evaluations.

    ``t`` and ``h`` are float32 scalars on the CPU: the step sizes of ``dpm_adaptive`` follow from differences so small
    that rounding shows in them.
    """

    denoise: Denoiser
    x: Tensor
    t: Tensor
    h: Tensor
    x0: Tensor = field(init=False)
    eps: Tensor = field(init=False)
    known: dict[float, Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        sigma = exp(-self.t)
        self.x0 = self.denoise(self.x, float(sigma))
        self.eps = (self.x - self.x0) / sigma

    def first_order(self) -> Tensor:
        return self._line(1.0)

    def second_order(self, share: float = 0.5) -> Tensor:
        """``share`` of the step is where the second slope is taken."""
        gain = self._sigma(1.0) / (2 * share) * self.h.expm1()
        return self._line(1.0) - gain * (self._eps_at(share) - self.eps)

    def third_order(self) -> Tensor:
        first, second = 1 / 3, 2 / 3
        ahead = second * self.h
        bend = self._sigma(second) * (second / first) * (ahead.expm1() / ahead - 1)
        u = self._line(second) - bend * (self._eps_at(first) - self.eps)
        gain = self._sigma(1.0) / second * (self.h.expm1() / self.h - 1)
        return self._line(1.0) - gain * (self._slope(u, second) - self.eps)

    def _sigma(self, share: float) -> Tensor:
        return exp(-(self.t + share * self.h))

    def _line(self, share: float) -> Tensor:
        return self.x - self._sigma(share) * (share * self.h).expm1() * self.eps

    def _slope(self, x: Tensor, share: float) -> Tensor:
        sigma = self._sigma(share)
        return (x - self.denoise(x, float(sigma))) / sigma

    def _eps_at(self, share: float) -> Tensor:
        if share not in self.known:
            self.known[share] = self._slope(self._line(share), share)
        return self.known[share]
