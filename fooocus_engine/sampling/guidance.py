"""Mixes what the positive and the negative text say into one estimate: CFG, adaptive CFG and sharpness (§7).

Takes Estimates, gives the clean latent; knows neither the network nor the solver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from fooocus_engine.sampling.settings import GuidanceSettings
from fooocus_engine.sampling.sharpness import joint_bilateral
from fooocus_engine.sampling.unet_denoiser import Estimates, PairDenoiser

SHARPNESS_UNIT = 0.001  # share of the filtered noise per unit of sharpness at the end (sampling.md §7.1)


def needs_negative(cfg: float) -> bool:
    """Whether the negative text has any effect at this scale."""
    return not math.isclose(cfg, 1.0)


@dataclass(frozen=True, eq=False)
class Guidance:
    """A Denoiser made of a PairDenoiser."""

    inner: PairDenoiser
    settings: GuidanceSettings

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The guided estimate of the clean latent in ``x``."""
        return guided(x, self.inner(x, sigma), self.settings)


def guided(x: Tensor, estimates: Estimates, settings: GuidanceSettings) -> Tensor:
    """One estimate from two, ``[1, 4, h, w]`` float32 (sampling.md §7.1)."""
    if estimates.negative is None or not needs_negative(settings.cfg):
        return estimates.positive
    progress = estimates.progress
    positive, negative = x - estimates.positive, x - estimates.negative
    blur = SHARPNESS_UNIT * settings.sharpness * progress
    if blur > 0:
        positive = joint_bilateral(positive, estimates.positive) * blur + positive * (1 - blur)
    difference = positive - negative
    noise = negative + difference * settings.cfg
    if settings.cfg > settings.adaptive_cfg:
        mimicked = negative + difference * settings.adaptive_cfg
        noise = noise * progress + mimicked * (1 - progress)
    return x - noise
