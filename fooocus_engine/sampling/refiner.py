"""The second model: how it takes over, the switch inside a run, and what passes between two runs (sampling.md §10).

Knows no network and no schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import torch
from torch import Tensor

from fooocus_engine.sampling.settings import RefinerSwap, SamplingSettings
from fooocus_engine.sampling.solvers.protocol import Denoiser
from fooocus_engine.sampling.unet_denoiser import Estimates, PairDenoiser
from fooocus_engine.types import Step

SDXL_LATENTS = ("sdxl", "sdxl_refiner")  # families that share one latent space
REPAINTED = 0.9  # above this strength an image is new enough to be made by both models (sampling.md §10.5)
SHARE_POWER = 0.834  # bends the base's share of the steps into a strength
SECOND_PASS_NOISE = 1.4  # sigmas of the second pass of a `vae` swap (sampling.md §10.4)


class Method(Enum):
    """How the models share the work."""

    BASE = auto()
    """Only the base model runs."""
    REFINER = auto()
    """Only the refiner runs, from and to its own latents."""
    JOINT = auto()
    """One run; the refiner takes over inside."""
    SEPARATE = auto()
    """Two runs; the second starts from what noise the first left."""
    VAE = auto()
    """Two runs; the first one finishes, the second adds noise of its own, in its own latent space."""


def refiner_method(settings: SamplingSettings, refiner_family: str | None) -> Method:
    """Which method runs (sampling.md §10.5). Only under ``REFINER`` does a run start from the refiner's own latents."""
    if has_own_latents(refiner_family):
        if settings.denoise > REPAINTED:
            return Method.VAE
        rest = max(settings.steps - settings.switch, 0) / settings.steps
        return Method.BASE if settings.denoise > rest**SHARE_POWER else Method.REFINER
    match settings.swap:
        case RefinerSwap.JOINT:
            return Method.BASE if refiner_family is None else Method.JOINT
        case RefinerSwap.SEPARATE:
            return Method.SEPARATE
        case RefinerSwap.VAE:
            return Method.VAE


def has_own_latents(refiner_family: str | None) -> bool:
    """Whether a refiner of this family works on other latents than an SDXL base."""
    return refiner_family is not None and refiner_family not in SDXL_LATENTS


class RefinerSwitch:
    """A PairDenoiser that goes over from one to another at the callback of step ``at`` (sampling.md §10.2)."""

    def __init__(self, base: PairDenoiser, refiner: PairDenoiser, at: int) -> None:
        self._current, self._refiner, self._at = base, refiner, at

    def __call__(self, x: Tensor, sigma: float) -> Estimates:
        """Estimates of the model whose turn it is."""
        return self._current(x, sigma)

    def on_step(self, step: Step) -> None:
        """To be called at each step, before anyone else hears of it."""
        if step.index == self._at:
            self._current = self._refiner


@dataclass(eq=False)
class NoiseMemory:
    """A Denoiser that remembers the noise it saw last."""

    inner: Denoiser
    last: Tensor | None = None
    """``(x − x0)/sigma`` of the latest call."""

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        """The inner estimate, unchanged."""
        x0 = self.inner(x, sigma)
        self.last = (x - x0) / sigma
        return x0


def recentred(noise: Tensor, seen: Tensor | None) -> Tensor:
    """``noise [B, C, h, w]`` with its mean over channels replaced by that of the noise ``seen`` (sampling.md §10.4)."""
    if seen is None:
        return noise
    return noise + torch.mean(seen, dim=1, keepdim=True) - torch.mean(noise, dim=1, keepdim=True)
