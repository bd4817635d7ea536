"""How a network's output becomes an estimate of the clean latent: tables of noise levels, and the latent's own scale.

Knows the parametrisations a request can run on: the discrete table of Stable Diffusion (noise or velocity
prediction), its 50-entry subset for LCM and TCD, and EDM. Takes a scheduler's name and what the network predicts.
Knows neither networks nor the lists of sigmas that are run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from fooocus_engine.sampling.elementary import exp, log
from fooocus_engine.sampling.midway import FEW_STEP, FULL, higher_wins

TRAIN_STEPS = 1000
LAST_TIMESTEP = TRAIN_STEPS - 1
BETA_START, BETA_END = 0.00085, 0.012  # ends of the training schedule, linear in the square root (sampling.md §1.1)
FEW_STEP_SKIP = 20  # LCM and TCD keep every 20th noise level (sampling.md §1.3)
LCM_TIME_SCALE, LCM_SIGMA_DATA_SQUARED = 10.0, 0.25
EDM_SIGMA_MIN, EDM_SIGMA_MAX, EDM_SIGMA_DATA = 0.002, 120.0, 0.5
BEFORE_THE_START = 999999999.9  # sigma of a share <= 0: larger than any noise level (sampling.md §1.1)
EDM_LATENT_MEAN = (-1.6574, 1.886, -1.383, 2.5155)
EDM_LATENT_STD = (8.4927, 5.9022, 6.5498, 5.2299)
EDM_SCHEDULER = "edm_playground_v2.5"


class ModelSampling(Protocol):
    """One parametrisation. Sigmas are Python floats that float32 can hold; tables are float32 on the CPU."""

    @property
    def sigmas(self) -> Tensor:
        """All noise levels, rising."""

    @property
    def alphas_cumprod(self) -> Tensor | None:
        """Share of signal per training step, ``[1000]``; ``None`` where there is no such table."""

    def timestep(self, sigma: float) -> float:
        """What the UNet is told for ``sigma``."""

    def sigma(self, timestep: Tensor) -> Tensor:
        """Inverse of ``timestep``, elementwise."""

    def percent_to_sigma(self, percent: float) -> float:
        """Noise level after a share 0–1 of the timesteps, counted from the noisy end."""

    def scale_input(self, x: Tensor, sigma: float) -> Tensor:
        """``x`` as the UNet wants it."""

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Estimate of the clean latent from the noisy ``x`` and the UNet's ``output`` (float32)."""


@dataclass(frozen=True, eq=False)
class DiscreteSampling:
    """Noise levels of a network that was trained on a table (sampling.md §1.1–1.4)."""

    sigmas: Tensor
    alphas_cumprod: Tensor
    prediction: str = "epsilon"
    """``epsilon``, ``v`` or ``lcm`` (noise prediction with LCM's boundary scaling)."""
    skip: int = 1
    """Training steps between two entries of ``sigmas``."""
    middles: int = FULL
    """Which entry wins midway between two, a bit each (``midway.py``)."""

    def timestep(self, sigma: float) -> float:
        """Training step of the nearest entry on a logarithmic scale, a whole number; middles go as recorded."""
        if sigma <= 0:
            return float(self.skip - 1)
        distance = (math.log(sigma) - self.sigmas.double().log()).abs()
        entry, other = distance.topk(2, largest=False).indices.tolist()
        lower = min(entry, other)
        if sigma == self._middle(lower):
            entry = lower + higher_wins(self.middles, lower)
        return float(self.skip * entry + self.skip - 1)

    def _middle(self, lower: int) -> float:
        """The noise level midway between an entry and the next."""
        return float(self.sigma(torch.tensor(self.skip * (lower + 0.5) + self.skip - 1)))

    def sigma(self, timestep: Tensor) -> Tensor:
        """Log-linear between the entries; timesteps outside the table are clamped."""
        position = ((timestep.float() - (self.skip - 1)) / self.skip).clamp(0, len(self.sigmas) - 1)
        low, high, weight = position.floor().long(), position.ceil().long(), position.frac()
        logs = log(self.sigmas)
        return exp((1 - weight) * logs[low] + weight * logs[high])

    def percent_to_sigma(self, percent: float) -> float:
        """Noise level of timestep ``(1 − percent)·999``; 0 at the end, a huge number at the start."""
        if percent <= 0:
            return BEFORE_THE_START
        if percent >= 1:
            return 0.0
        return float(self.sigma(torch.tensor((1 - percent) * LAST_TIMESTEP)))

    def scale_input(self, x: Tensor, sigma: float) -> Tensor:
        """Unit variance for a clean latent of unit variance."""
        return x / _noisy_deviation(sigma, 1.0)

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Sampling.md §1.1 (noise), §1.2 (velocity) and §1.3 (LCM)."""
        if self.prediction == "v":
            variance = sigma * sigma + 1
            return x / variance - output * (sigma / math.sqrt(variance))
        x0 = x - output * sigma
        if self.prediction == "lcm":
            scaled = LCM_TIME_SCALE * self.timestep(sigma)
            variance = scaled * scaled + LCM_SIGMA_DATA_SQUARED
            return x0 * (scaled / math.sqrt(variance)) + x * (LCM_SIGMA_DATA_SQUARED / variance)
        return x0


@dataclass(frozen=True, eq=False)
class EdmSampling:
    """Continuous noise levels of Karras et al. 2022 (arXiv:2206.00364, table 1) as Playground v2.5 uses them."""

    sigmas: Tensor
    alphas_cumprod: None = None

    def timestep(self, sigma: float) -> float:
        """A quarter of the logarithm, about −1.6 to 1.2."""
        return float(0.25 * log(torch.tensor(sigma, dtype=torch.float32)))

    def sigma(self, timestep: Tensor) -> Tensor:
        """Inverse of ``timestep``."""
        return exp(4 * timestep.float())

    def percent_to_sigma(self, percent: float) -> float:
        """Log-linear from the largest sigma to the smallest."""
        if percent <= 0:
            return BEFORE_THE_START
        if percent >= 1:
            return 0.0
        low, high = math.log(EDM_SIGMA_MIN), math.log(EDM_SIGMA_MAX)
        return math.exp(low + (high - low) * (1 - percent))

    def scale_input(self, x: Tensor, sigma: float) -> Tensor:
        """Unit variance for a clean latent of standard deviation 0.5."""
        return x / _noisy_deviation(sigma, EDM_SIGMA_DATA)

    def denoised(self, x: Tensor, output: Tensor, sigma: float) -> Tensor:
        """Sampling.md §1.5."""
        variance = sigma * sigma + EDM_SIGMA_DATA**2
        return x * (EDM_SIGMA_DATA**2 / variance) + output * (sigma * EDM_SIGMA_DATA / math.sqrt(variance))


def _noisy_deviation(sigma: float, clean: float) -> float:
    # In float32, as the reference does: at high noise a last bit here is amplified by sigma and by the guidance scale.
    variance = torch.tensor(sigma, dtype=torch.float32) ** 2 + clean**2
    return float(variance.double().sqrt().float())  # the float32 root differs between processors


def model_sampling(scheduler: str, prediction: str) -> ModelSampling:
    """The parametrisation that ``scheduler`` runs a network of this ``prediction`` (``epsilon`` or ``v``) on (§1.6)."""
    match scheduler:
        case "lcm" | "tcd":
            return few_step_sampling("lcm" if scheduler == "lcm" else "epsilon")
        case _ if scheduler == EDM_SCHEDULER:
            return edm_sampling()
        case _:
            return discrete_sampling(prediction)


def discrete_sampling(prediction: str = "epsilon") -> DiscreteSampling:
    """All 1000 noise levels of Stable Diffusion's training (sampling.md §1.1), ``epsilon`` or ``v`` prediction."""
    betas = np.linspace(math.sqrt(BETA_START), math.sqrt(BETA_END), TRAIN_STEPS, dtype=np.float64) ** 2
    alphas_cumprod = np.cumprod(1 - betas)
    sigmas = np.sqrt((1 - alphas_cumprod) / alphas_cumprod)
    return DiscreteSampling(torch.from_numpy(sigmas).float(), torch.from_numpy(alphas_cumprod).float(), prediction)


def few_step_sampling(prediction: str) -> DiscreteSampling:
    """Every 20th noise level, for ``lcm`` or (TCD) ``epsilon`` prediction; ᾱ keeps its 1000 entries (§1.3, §1.4)."""
    full = discrete_sampling()
    return DiscreteSampling(
        full.sigmas[FEW_STEP_SKIP - 1 :: FEW_STEP_SKIP], full.alphas_cumprod, prediction, FEW_STEP_SKIP, FEW_STEP
    )


def edm_sampling() -> EdmSampling:
    """Noise levels 0.002 to 120, evenly spaced in the logarithm (sampling.md §1.5)."""
    return EdmSampling(exp(torch.linspace(math.log(EDM_SIGMA_MIN), math.log(EDM_SIGMA_MAX), TRAIN_STEPS)))


@dataclass(frozen=True)
class LatentFormat:
    """Affine map per channel between the autoencoder's latents ``[B, 4, h, w]`` and what the UNet is trained on."""

    scale: tuple[float, ...]
    mean: tuple[float, ...] = (0.0,)

    def into_model(self, latent: Tensor) -> Tensor:
        """``latent`` in the model's scale."""
        return (latent - self._channels(self.mean, latent)) * self._channels(self.scale, latent)

    def out_of_model(self, x: Tensor) -> Tensor:
        """Inverse of ``into_model``."""
        return x / self._channels(self.scale, x) + self._channels(self.mean, x)

    @staticmethod
    def _channels(values: tuple[float, ...], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).view(1, -1, 1, 1)


def latent_format(scheduler: str, latent_scale: float) -> LatentFormat:
    """The map for latents of a model with this scale; Playground's scheduler replaces it by its own (§1.5, §8.4)."""
    if scheduler == EDM_SCHEDULER:
        return LatentFormat(tuple(EDM_SIGMA_DATA / std for std in EDM_LATENT_STD), EDM_LATENT_MEAN)
    return LatentFormat((latent_scale,))
