"""At which noise levels a distilled mode of the product asks the network, and what it is told there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from fooocus_engine.endpoints.generate.performance import Mode
from fooocus_engine.sampling.model_sampling import model_sampling
from fooocus_engine.sampling.schedules import sampler_sigmas
from fooocus_engine.sampling.settings import SamplingSettings

HALFWAY = ("dpmpp_sde_gpu",)  # samplers that also ask midway, on a logarithmic scale (sampling.md §4)


@dataclass(frozen=True, eq=False)
class Timetable:
    """Of ``N`` calls in the order of a run."""

    sigmas: Tensor
    """``[N + 1]``, falling, the last one 0."""
    timesteps: Tensor
    """``[N]`` float, what the network is told."""


def timetable(mode: Mode) -> Timetable:
    """The calls of a whole run of ``mode``.

    Raises:
        ValueError: the mode is not a distilled one.
    """
    if mode.forced is None:
        raise ValueError("only distilled modes have a timetable of their own")
    sampler, scheduler = mode.forced.sampler, mode.forced.scheduler
    tables = model_sampling(scheduler, "epsilon")
    levels = sampler_sigmas(SamplingSettings(mode.steps, mode.steps, sampler, scheduler), tables).tolist()
    if sampler in HALFWAY:
        *noisy, last, end = levels
        levels = [level for pair in pairwise([*noisy, last]) for level in (pair[0], math.sqrt(pair[0] * pair[1]))]
        levels += [last, end]
    return Timetable(torch.tensor(levels), torch.tensor([tables.timestep(level) for level in levels[:-1]]))
