"""Linear multistep: a polynomial through the last four slopes, integrated exactly. Formula: sampling.md §4."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from fooocus_engine.sampling.solvers.protocol import Denoiser, SolverNoise
from fooocus_engine.types import OnStep, Step

ORDER = 4


def lms(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Adams–Bashforth of order four over sigma, of lower order while slopes are few."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    slopes: deque[Tensor] = deque(maxlen=ORDER)  # newest first
    for i in range(total):
        x0 = denoise(x, levels[i])
        on_step(Step(i, total, x, x0))
        slopes.appendleft((x - x0) / levels[i])
        known = levels[i::-1][: len(slopes)]
        for slope, weight in zip(slopes, lagrange_integrals(known, levels[i + 1]), strict=True):
            x = x + slope * weight
    return x


def lagrange_integrals(nodes: Sequence[float], target: float) -> list[float]:
    """For each node the integral of its Lagrange polynomial from ``nodes[0]`` to ``target``."""
    integrals = []
    for j, node in enumerate(nodes):
        others = [other for m, other in enumerate(nodes) if m != j]
        # Relative to the first node, where the integral starts: small numbers, no cancellation.
        basis = np.poly1d([other - nodes[0] for other in others], r=True)
        scale = math.prod(node - other for other in others)
        integrals.append(float(basis.integ()(target - nodes[0])) / scale)
    return integrals
