"""Solvers for distilled few-step models: LCM and TCD. Formulas: sampling.md §4."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from fooocus_engine.errors import EngineError
from fooocus_engine.sampling.model_sampling import ModelSampling
from fooocus_engine.sampling.solvers.protocol import Denoiser, SolverNoise
from fooocus_engine.types import OnStep, Step

TCD_ETA = 0.3  # share of randomness: each step lands at 70 % of the next timestep and is noised up from there


def lcm(denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
    """Jump to the estimate, noise it again (Luo et al. 2023, arXiv:2310.04378)."""
    levels = sigmas.tolist()
    total = len(levels) - 1
    for i, (sigma, target) in enumerate(pairwise(levels)):
        x0 = denoise(x, sigma)
        on_step(Step(i, total, x, x0))
        x = x0.add(noise.step(), alpha=target) if target > 0 else x0
    return x


@dataclass(frozen=True, eq=False)
class Tcd:
    """Trajectory consistency (Zheng et al. 2024, arXiv:2402.19159, alg. 4). A step reports its own landing point as x0.

    Its noise comes from the table of ``tables``; sigmas that this does not allow give a negative variance, hence NaN.
    """

    tables: ModelSampling

    def __call__(self, denoise: Denoiser, x: Tensor, sigmas: Tensor, *, noise: SolverNoise, on_step: OnStep) -> Tensor:
        """Each step lands below the next sigma and is noised up to it."""
        levels = sigmas.tolist()
        total = len(levels) - 1
        signal = self.signal(levels)
        for i, (sigma, target) in enumerate(pairwise(levels)):
            x0 = denoise(x, sigma)
            eps = (x - x0) / sigma
            landing = x0 * math.sqrt(signal[i + 1]) + eps * math.sqrt(1 - signal[i + 1])
            on_step(Step(i, total, x, landing))
            x = landing
            if target > 0:
                variance = target**2 + 1 - 1 / signal[i + 1]
                deviation = math.sqrt(variance) if variance >= 0 else math.nan
                x = (landing / math.sqrt(signal[i + 1])).add_(noise.step(), alpha=deviation)
        return x

    def signal(self, levels: list[float]) -> list[float]:
        """Share of signal where the step to each level lands; the last step lands on the least noisy entry.

        Raises:
            EngineError: the parametrisation has no table.
        """
        if self.tables.alphas_cumprod is None:
            raise EngineError("sampler tcd needs a scheduler with a table of noise levels")
        timesteps = torch.tensor([self.tables.timestep(level) for level in levels])
        landings = ((1 - TCD_ETA) * timesteps).floor().long()
        landings[-1] = 0
        signal: list[float] = self.tables.alphas_cumprod[landings].tolist()
        return signal
