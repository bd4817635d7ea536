"""Keeps known pixels while the rest is painted (sampling.md §9). Wraps a Denoiser; knows no network and no solver."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from fooocus_engine.sampling.solvers.protocol import Denoiser


@dataclass(frozen=True, eq=False)
class KeepKnownPixels:
    """A Denoiser that paints where ``mask`` is 1 and keeps ``known`` where it is 0.

    The inner one sees the known pixels at the noise level it is asked about, with fresh noise at every call. What the
    solver itself carries on from step to step is left to it.
    """

    inner: Denoiser
    known: Tensor
    """``[1, 4, h, w]`` in the model's scale."""
    mask: Tensor
    """``[1, 1, h, w]`` float32."""
    draw_noise: Callable[[], Tensor]
    """Unit noise of the shape of ``known``."""

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The inner estimate where it may paint, else the known pixels."""
        keep = 1 - self.mask
        x0 = self.inner(x * self.mask + (self.known + self.draw_noise() * sigma) * keep, sigma)
        return x0 * self.mask + self.known * keep
