"""Lists of sigmas by scheduler name, and which part of them a call runs.

Takes names and step counts with a parametrisation (``model_sampling``); gives float32 tensors on the CPU, falling,
that end with 0. A sigma is the standard deviation of the noise in units of the scaled latent.
Knows nothing of latents, networks or solvers beyond their names.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fooocus_engine.sampling.elementary import exp
from fooocus_engine.sampling.model_sampling import ModelSampling
from fooocus_engine.sampling.settings import SamplingSettings

RHO = 7.0  # curvature of the Karras schedule
FULL_DENOISE = 0.9999  # above it a run covers the whole schedule (sampling.md §2.1)
TURBO_TIMESTEPS = tuple(range(999, 0, -100))
ALIGN_YOUR_STEPS = {  # noise levels by model family (sampling.md §2)
    "sdxl": (
        14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141,
        0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582,
    ),
    "sd15": (
        14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092,
        0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582,
    ),
}  # fmt: skip
REPLACED = {"lcm": "sgm_uniform", "tcd": "sgm_uniform", "edm_playground_v2.5": "karras"}  # sampling.md §1.6
UNKNOWN_TO_SAMPLERS = ("turbo", "align_your_steps")  # samplers silently run `normal` instead (sampling.md §2)
ONE_EVALUATION_TOO_MANY = ("dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2")  # drop the penultimate sigma (§2.2)
ONE_TOO_MANY_IN_RANGE = ("dpm_2", "dpm_2_ancestral")


def karras_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Noise levels of Karras et al. 2022 (arXiv:2206.00364, eq. 5), then a closing zero: ``[steps + 1]``."""
    _check_steps(steps)
    root_min, root_max = sigma_min ** (1 / RHO), sigma_max ** (1 / RHO)
    return _closed((root_max + torch.linspace(0, 1, steps) * (root_min - root_max)) ** RHO)


def exponential_sigmas(steps: int, sigma_min: float, sigma_max: float) -> Tensor:
    """Noise levels evenly spaced in the logarithm, then a closing zero: ``[steps + 1]``."""
    _check_steps(steps)
    return _closed(exp(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps)))


def normal_sigmas(steps: int, tables: ModelSampling) -> Tensor:
    """Noise levels of evenly spaced timesteps, both ends included, then a closing zero: ``[steps + 1]``."""
    _check_steps(steps)
    return _closed(tables.sigma(torch.linspace(*_timestep_ends(tables), steps)))


def sgm_uniform_sigmas(steps: int, tables: ModelSampling) -> Tensor:
    """Noise levels of evenly spaced timesteps without the least noisy one, then a closing zero: ``[steps + 1]``."""
    _check_steps(steps)
    return _closed(tables.sigma(torch.linspace(*_timestep_ends(tables), steps + 1)[:-1]))


def simple_sigmas(steps: int, tables: ModelSampling) -> Tensor:
    """Evenly spaced entries of the table from its noisy end, then a closing zero: ``[steps + 1]``."""
    _check_steps(steps)
    stride = len(tables.sigmas) / steps
    return _closed(tables.sigmas[[-1 - int(i * stride) for i in range(steps)]])


def ddim_uniform_sigmas(steps: int, tables: ModelSampling) -> Tensor:
    """Every ``1000 // steps``-th entry of the table, then a closing zero: not ``steps + 1`` values in general."""
    _check_steps(steps)
    stride = max(len(tables.sigmas) // steps, 1)
    return _closed(tables.sigmas[1::stride].flip(0))


def turbo_sigmas(steps: int, tables: ModelSampling) -> Tensor:
    """The first ``steps`` (at most 10) of SDXL-Turbo's own noise levels, then a closing zero."""
    _check_steps(steps)
    return _closed(tables.sigma(torch.tensor(TURBO_TIMESTEPS[:steps])))


def align_your_steps_sigmas(steps: int, family: str) -> Tensor:
    """Sabour et al. 2024 (arXiv:2404.14507), log-linear to ``steps + 1`` values, the last of them set to 0."""
    _check_steps(steps)
    levels = np.array(ALIGN_YOUR_STEPS["sd15" if family == "sd15" else "sdxl"])
    rising = np.interp(np.linspace(0, 1, steps + 1), np.linspace(0, 1, len(levels)), np.log(levels[::-1]))
    sigmas = torch.from_numpy(np.exp(rising)[::-1].copy()).float()
    return _closed(sigmas[:-1])


def scheduler_sigmas(scheduler: str, steps: int, tables: ModelSampling, family: str = "sdxl") -> Tensor:
    """The list of sampling.md §2 for a scheduler's name; a name without a list of its own runs ``normal``."""
    name = REPLACED.get(scheduler, scheduler)
    sigma_min, sigma_max = float(tables.sigmas[0]), float(tables.sigmas[-1])
    match name:
        case "karras":
            return karras_sigmas(steps, sigma_min, sigma_max)
        case "exponential":
            return exponential_sigmas(steps, sigma_min, sigma_max)
        case "sgm_uniform":
            return sgm_uniform_sigmas(steps, tables)
        case "simple":
            return simple_sigmas(steps, tables)
        case "ddim_uniform":
            return ddim_uniform_sigmas(steps, tables)
        case "turbo":
            return turbo_sigmas(steps, tables)
        case "align_your_steps":
            return align_your_steps_sigmas(steps, family)
        case _:
            return normal_sigmas(steps, tables)


def sampler_sigmas(settings: SamplingSettings, tables: ModelSampling) -> Tensor:
    """What the sampler runs on: ``steps + 1`` values but for schedules of their own length (sampling.md §2.1, §2.2)."""
    name = "normal" if settings.scheduler in UNKNOWN_TO_SAMPLERS else settings.scheduler
    drop = settings.sampler in ONE_EVALUATION_TOO_MANY
    return _last_part(settings, lambda steps: scheduler_sigmas(name, steps, tables), drop_penultimate=drop)


def named_sigmas(settings: SamplingSettings, tables: ModelSampling, family: str = "sdxl") -> Tensor:
    """What the scheduler's name promises, also where samplers fall back to ``normal``.

    Gives the range of the Brownian tree (sampling.md §5.2) and the second pass of the ``vae`` swap (§10.4).
    """
    name = settings.scheduler
    drop = settings.sampler in ONE_TOO_MANY_IN_RANGE
    return _last_part(settings, lambda steps: scheduler_sigmas(name, steps, tables, family), drop_penultimate=drop)


def truncated(sigmas: Tensor, *, start: int, last: int, full_denoise: bool) -> Tensor:
    """The sigmas of steps ``start`` to ``last``; with ``full_denoise`` a cut list ends at 0 (sampling.md §2.3).

    Empty where nothing is left to run: the latent then stays as it is.
    """
    if last < len(sigmas) - 1:
        end = torch.zeros(1) if full_denoise else sigmas[last : last + 1]
        sigmas = torch.cat([sigmas[:last], end])
    return sigmas[start:] if start < len(sigmas) - 1 else sigmas[:0]


def _last_part(settings: SamplingSettings, whole: Callable[[int], Tensor], *, drop_penultimate: bool) -> Tensor:
    if not 0 < settings.denoise <= 1:
        raise ValueError(f"denoise is {settings.denoise}; allowed: above 0, at most 1")
    full = settings.denoise > FULL_DENOISE
    steps = settings.steps if full else int(settings.steps / settings.denoise)
    sigmas = whole(steps + 1 if drop_penultimate else steps)
    if drop_penultimate:
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    return sigmas if full else sigmas[-(settings.steps + 1) :]


def _timestep_ends(tables: ModelSampling) -> tuple[float, float]:
    return tables.timestep(float(tables.sigmas[-1])), tables.timestep(float(tables.sigmas[0]))


def _closed(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, torch.zeros(1)])


def _check_steps(steps: int) -> None:
    if steps < 1:
        raise ValueError(f"steps is {steps}; at least 1 is needed")
