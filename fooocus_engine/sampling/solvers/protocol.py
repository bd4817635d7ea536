"""What a solver is given, and the one step that several share.

A solver takes noise away from ``x`` along a falling list of sigmas. It sees one function, a source of noise and a
callback; it knows no network, no guidance and no schedule. All tensors are float32 ``[B, 4, h, w]`` in the model's
scale; sigmas are turned into Python floats once, so that no step waits for the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

from torch import Tensor

from fooocus_engine.types import OnStep

Denoiser = Callable[[Tensor, float], Tensor]
"""``(x, sigma) -> x0``: the estimate of the clean latent."""


class SolverNoise(Protocol):
    """Where a solver's random numbers come from."""

    def step(self) -> Tensor:
        """Fresh unit noise."""

    def between(self, sigma: float, sigma_next: float) -> Tensor:
        """Unit noise of a Brownian path from one sigma to another."""


class Solver(Protocol):
    """From noise level ``sigmas[0]`` to ``sigmas[-1]``."""

    def __call__(
        self, denoise: Denoiser, x: Tensor, sigmas: Tensor, /, *, noise: SolverNoise, on_step: OnStep
    ) -> Tensor:
        """``x`` without its noise. ``sigmas`` is float32 ``[steps + 1]`` on the CPU; ``on_step`` may raise to abort."""


def toward(x: Tensor, x0: Tensor, sigma: float, target: float) -> Tensor:
    """``x`` moved along the straight line through ``x0`` from noise level ``sigma`` to ``target``: an Euler step."""
    return x0 + (x - x0) * (target / sigma)


def ancestral(sigma: float, target: float) -> tuple[float, float]:
    """(level to step down to, noise to add there) that together give ``target``; eta is 1 (sampling.md §4)."""
    up = min(target, math.sqrt(max(target**2 * (sigma**2 - target**2) / sigma**2, 0.0)))
    return math.sqrt(max(target**2 - up**2, 0.0)), up
