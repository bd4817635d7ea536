"""The task of a diffusion: latents under noise, at which noise levels, and what an error in the noise weighs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fooocus_engine.sampling.model_sampling import discrete_sampling

SIGNALS = discrete_sampling().alphas_cumprod
"""Share of the picture's variance at each timestep, ``[1000]``."""
SNR_CAP = 5.0  # min-SNR weighting, Hang et al. 2023 (arXiv:2303.09556)
NEAR_NOISE = 0.3  # lifts errors near noise, where numbers settle, to those elsewhere (EDM2, arXiv:2312.02696 §3.1)
POOLED_WEIGHT, MEAN_WEIGHT = 4.0, 8.0  # of the error averaged over 4×4 latents, and over the picture


def noised(latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """``latents [B, 4, h, w]`` of deviation 1 under ``noise``, in the UNet's own scale (Ho et al. 2020, eq. 4)."""
    signal = SIGNALS[timesteps][:, None, None, None].to(latents.device)
    return latents * signal.sqrt() + noise * (1 - signal).sqrt()


def draw_timesteps(count: int) -> Tensor:
    """A third even, a sixth about the middle, where shapes settle, half near noise, where places and numbers do."""
    middle, early = count // 6, count // 2
    drawn = (
        torch.rand(count - middle - early),
        torch.sigmoid(torch.randn(middle) - 0.2),
        torch.sigmoid(0.9 * torch.randn(early) + 2.0),
    )
    return (torch.cat(drawn) * 1000).long().clamp(max=999)


def weighted_loss(error: Tensor, timesteps: Tensor) -> Tensor:
    """``layered_square`` of the noise estimate's ``error [B, 4, h, w]``, by what each timestep weighs; a scalar."""
    signal = SIGNALS[timesteps].to(error.device)
    weight = (SNR_CAP * (1 - signal) / signal).clamp(max=1) * signal**-NEAR_NOISE
    return (weight * layered_square(error)).mean()


def layered_square(error: Tensor) -> Tensor:
    """Mean square of ``error [B, 4, h, w]``, of its averages over 4×4 latents and of its mean, added up: ``[B]``."""
    coarse = F.avg_pool2d(error, 4).square().mean((1, 2, 3))
    mean = error.mean((2, 3)).square().mean(1)
    return error.square().mean((1, 2, 3)) + POOLED_WEIGHT * coarse + MEAN_WEIGHT * mean
