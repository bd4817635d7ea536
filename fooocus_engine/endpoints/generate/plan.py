"""A generation, settled: numbers, names and words only. Equal plans and sources give equal pictures.

Made by the planner alone and read by the conductor; after it nothing looks at the request again.
"""

from __future__ import annotations

from dataclasses import dataclass

from fooocus_engine.endpoints.generate.image_prompts import Kind
from fooocus_engine.imaging.box import WORKING_SHAPE, Box
from fooocus_engine.sampling.settings import GuidanceSettings, SamplingSettings
from fooocus_engine.types import ImageTask, ModelChoice, OutputSettings


@dataclass(frozen=True)
class Recorded:
    """What metadata tells beyond the values that steer the picture, as the request gave them."""

    performance: str
    refiner_switch: float
    overwrite_switch: float


@dataclass(frozen=True)
class FromText:
    """Pictures from words alone."""


@dataclass(frozen=True)
class Vary:
    """Pictures that start from the given one."""

    size: tuple[int, int]
    """What the given picture is resized to before it is encoded."""


@dataclass(frozen=True)
class Upscale:
    """Pictures that start from the given one enlarged; encoded and decoded in tiles."""

    size: tuple[int, int]
    """What the fourfold picture is resized to before it is encoded."""


@dataclass(frozen=True)
class Enlarge:
    """The given picture enlarged, by the super-resolution network alone. One picture, whatever was asked."""

    size: tuple[int, int]
    """What the fourfold picture is resized to."""


@dataclass(frozen=True)
class Inpaint:
    """Pictures in which the masked part of the given one is made anew."""

    box: Box
    """The part of the given picture that is worked on."""
    size: tuple[int, int]
    """What that part is resized to before it is encoded; of ``shape``."""
    filled: bool
    """Whether colours from around stand for what is repainted, else what was there."""
    empty: bool
    """Whether sampling starts from nothing all the same."""
    shape: int = WORKING_SHAPE
    """What the model is at home with; see ``imaging.resize.shape_ceil``."""


@dataclass(frozen=True)
class Inspect:
    """No picture is made: results are the fill, the mask and the picture that an inpaint would work on."""

    inpaint: Inpaint

    @property
    def size(self) -> tuple[int, int]:
        """Of the three."""
        return self.inpaint.size


@dataclass(frozen=True)
class InspectControls:
    """No picture is made: results are the pictures that would steer, as they would be looked at."""

    size: tuple[int, int]
    """Of the pictures that would be made."""


Goal = FromText | Vary | Upscale | Enlarge | Inpaint | Inspect | InspectControls


@dataclass(frozen=True)
class ControlTask:
    """One picture that steers besides the words."""

    kind: Kind
    source: int
    """Its place in ``Sources.controls``."""
    stop: float
    """Share of the noise schedule, counted from the noisy end, during which it does."""
    weight: float


@dataclass(frozen=True)
class Steering:
    """What steers besides the words."""

    tasks: tuple[ControlTask, ...]
    """In the order in which they are worked on."""
    preprocessed: bool
    """The pictures are edge maps, structures and faces already."""
    thresholds: tuple[int, int]
    """Of the edges."""
    softness: float
    """0-1: how much less the finer residuals of control networks say."""


@dataclass(frozen=True)
class GenerationPlan:
    """Everything that a generation does."""

    goal: Goal
    steering: Steering
    models: ModelChoice
    size: tuple[int, int]
    """(width, height) in pixels of the pictures."""
    encoding_seed: int
    """Of the noise that given pictures are encoded with: one for all pictures of a request (sampling.md §8.3)."""
    clip_skip: int
    images: tuple[ImageTask, ...]
    sampling: SamplingSettings
    guidance: GuidanceSettings
    output: OutputSettings
    recorded: Recorded
    few_step_name: str | None
    """What status texts call the components of a few-step mode; ``None`` for the other modes."""
    previews: bool
    screened: bool = False
    """Whether pictures that the safety checker objects to are blacked out."""
    warnings: tuple[str, ...] = ()
    """Told in the reply: defaults that were left out, a model that stands in."""
