"""What a request decides about sampling: accepted names and the two settings objects. Loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SAMPLERS = (
    "euler", "euler_ancestral", "heun", "heunpp2", "dpm_2", "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive",
    "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu",
    "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "tcd", "restart", "ddim", "uni_pc", "uni_pc_bh2",
)  # fmt: skip
SCHEDULERS = (
    "normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "lcm", "turbo",
    "align_your_steps", "tcd", "edm_playground_v2.5",
)  # fmt: skip
DEFAULT_SAMPLER = "dpmpp_2m_sde_gpu"
DEFAULT_SCHEDULER = "karras"


class RefinerSwap(StrEnum):
    """How the second model takes over (sampling.md §10)."""

    JOINT = "joint"
    SEPARATE = "separate"
    VAE = "vae"


@dataclass(frozen=True)
class FreeU:
    """Factors of FreeU v2: ``b`` on the backbone, ``s`` on the skip connections (sampling.md §7.5)."""

    b1: float = 1.01
    b2: float = 1.02
    s1: float = 0.99
    s2: float = 0.95


@dataclass(frozen=True)
class SamplingSettings:
    """How noise becomes a latent."""

    steps: int
    switch: int
    """Step index at whose callback the refiner takes over; at or past ``steps`` it never does."""
    sampler: str = DEFAULT_SAMPLER
    scheduler: str = DEFAULT_SCHEDULER
    denoise: float = 1.0
    swap: RefinerSwap = RefinerSwap.JOINT


@dataclass(frozen=True)
class GuidanceSettings:
    """How the positive and the negative estimate are mixed (sampling.md §7)."""

    cfg: float = 4.0
    sharpness: float = 2.0
    adaptive_cfg: float = 7.0
    adm_positive: float = 1.5
    adm_negative: float = 0.8
    adm_end: float = 0.3
    freeu: FreeU | None = None
