"""UniPC (Zhao et al. 2023, arXiv:2302.04867): predictor and corrector from past estimates. Formulas: sampling.md §4.

Written in the model's scale instead of the paper's unit variance: with ``x`` divided by alpha every alpha cancels, the
model's value is the estimate of the clean latent itself, and lambda is ``−ln sigma``.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from fooocus_engine.sampling.solvers.protocol import Denoiser, SolverNoise
from fooocus_engine.types import OnStep, Step

MAX_ORDER = 3
LAST_SIGMA = 0.001  # stands in for the closing 0, whose logarithm does not exist
Norm = Callable[[float], float]


def uni_pc(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """UniPC with the paper's B₁(h) = h. Reports each step after its update."""
    return _uni_pc(denoise, x, sigmas, on_step=on_step, norm=lambda g: g)


def uni_pc_bh2(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """UniPC with the paper's B₂(h) = exp(h) − 1. Reports each step after its update."""
    return _uni_pc(denoise, x, sigmas, on_step=on_step, norm=math.expm1)


def _uni_pc(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, on_step: OnStep, norm: Norm) -> Tensor:
    levels = [sigma or LAST_SIGMA for sigma in sigmas.tolist()]
    total = len(levels) - 1
    full_order = min(MAX_ORDER, total - 1)
    known: deque[tuple[float, Tensor]] = deque(maxlen=MAX_ORDER)  # (sigma, x0), newest first
    known.appendleft((levels[0], denoise(x, levels[0])))
    for k in range(1, total):
        on_step(Step(k - 1, total, x, known[0][1]))
        order = min(full_order, k, total + 1 - k)
        update = _Update(x, tuple(known), levels[k], norm)
        x0 = denoise(update.predicted(order), levels[k])
        x = update.corrected(order, x0)
        known.appendleft((levels[k], x0))
    x = _Update(x, tuple(known), levels[total], norm).predicted(1)
    on_step(Step(total - 1, total, x, known[0][1]))
    return x


@dataclass(frozen=True, eq=False)
class _Update:
    """One step from the newest known estimate to ``target``. ``known`` is (sigma, x0), newest first."""

    x: Tensor
    known: tuple[tuple[float, Tensor], ...]
    target: float
    norm: Norm

    def predicted(self, order: int) -> Tensor:
        """Equation 3 of the paper without the unknown estimate at ``target``."""
        if order == 1:
            return self._line()
        # The paper fixes the second-order coefficient instead of solving for it.
        weights = [0.5] if order == 2 else self._weights(order, order - 1)
        return self._line().add_(self._bend(weights, self._differences(order)), alpha=self._scale())

    def corrected(self, order: int, x0: Tensor) -> Tensor:
        """Equation 3 of the paper with the estimate ``x0`` at ``target``."""
        weights = [0.5] if order == 1 else self._weights(order, order)
        differences = [*self._differences(order), x0 - self.known[0][1]]
        return self._line().add_(self._bend(weights, differences), alpha=self._scale())

    def _h(self) -> float:
        return math.log(self.known[0][0] / self.target)

    def _scale(self) -> float:
        return -self.norm(-self._h())

    def _line(self) -> Tensor:
        sigma, x0 = self.known[0]
        return x0 + (self.x - x0) * (self.target / sigma)

    def _ratios(self, order: int) -> list[float]:
        newest = self.known[0][0]
        return [math.log(newest / sigma) / self._h() for sigma, _ in self.known[1:order]]

    def _differences(self, order: int) -> list[Tensor]:
        newest = self.known[0][1]
        earlier = [x0 for _, x0 in self.known[1:order]]
        return [(x0 - newest) / ratio for x0, ratio in zip(earlier, self._ratios(order), strict=True)]

    def _weights(self, order: int, size: int) -> list[float]:
        """The leading ``size`` of the ``order`` coefficients' equations, solved."""
        g = -self._h()
        ratios = [*self._ratios(order), 1.0]
        right = []
        term, factorial = math.expm1(g) / g - 1, 1.0
        for i in range(1, size + 1):
            right.append(term * factorial / self.norm(g))
            factorial *= i + 1
            term = term / g - 1 / factorial
        rows = np.vander(ratios[:size], size, increasing=True).T
        return [float(weight) for weight in np.linalg.solve(rows, np.array(right))]

    @staticmethod
    def _bend(weights: list[float], differences: list[Tensor]) -> Tensor:
        total = differences[0] * weights[0]
        for weight, difference in zip(weights[1:], differences[1:], strict=True):
            total = total.add_(difference, alpha=weight)
        return total
