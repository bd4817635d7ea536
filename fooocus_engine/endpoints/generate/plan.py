"""A generation, settled: numbers, names and words only. Equal plans and sources give equal pictures.

Made by the planner alone and read by the conductor; after it nothing looks at the request again.
"""

from __future__ import annotations

from dataclasses import dataclass

from fooocus_engine.sampling.settings import GuidanceSettings, SamplingSettings
from fooocus_engine.types import ImageTask, ModelChoice, OutputSettings


@dataclass(frozen=True)
class Recorded:
    """What metadata tells beyond the values that steer the picture, as the request gave them."""

    performance: str
    refiner_switch: float
    overwrite_switch: float


@dataclass(frozen=True)
class GenerationPlan:
    """Everything that a generation does."""

    models: ModelChoice
    size: tuple[int, int]
    """(width, height) in pixels."""
    clip_skip: int
    images: tuple[ImageTask, ...]
    sampling: SamplingSettings
    guidance: GuidanceSettings
    output: OutputSettings
    recorded: Recorded
    few_step_name: str | None
    """What status texts call the components of a few-step mode; ``None`` for the other modes."""
    previews: bool
    warnings: tuple[str, ...] = ()
    """Told in the reply: defaults that were left out, a model that stands in."""
