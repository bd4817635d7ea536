"""``image-upscale-vary`` (api.md §2.6): what may be asked, and what each method means. No torch, no pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import BeforeValidator, Field

from fooocus_engine.endpoints.generate.image_prompts import PromptedRequest
from fooocus_engine.endpoints.wire_types import OneOf, Picture


class Method(StrEnum):
    """The wire values of ``uov_method``."""

    VARY_SUBTLE = "Vary (Subtle)"
    VARY_STRONG = "Vary (Strong)"
    UPSCALE_15 = "Upscale (1.5x)"
    UPSCALE_2 = "Upscale (2x)"
    UPSCALE_FAST = "Upscale (Fast 2x)"
    UPSCALE_CUSTOM = "Upscale (Custom)"


@dataclass(frozen=True)
class Varying:
    """The picture made anew at its own size."""

    strength: float
    """Share of the noise schedule that is run, unless overwritten."""


@dataclass(frozen=True)
class Upscaling:
    """The picture enlarged."""

    factor: float | None
    """``None``: the request says."""
    diffused: bool = True
    """Whether the enlarged picture is gone over once more."""


MEANING: Mapping[Method, Varying | Upscaling] = MappingProxyType(
    {
        Method.VARY_SUBTLE: Varying(0.5),
        Method.VARY_STRONG: Varying(0.85),
        Method.UPSCALE_15: Upscaling(1.5),
        Method.UPSCALE_2: Upscaling(2.0),
        Method.UPSCALE_FAST: Upscaling(2.0, diffused=False),
        Method.UPSCALE_CUSTOM: Upscaling(None),
    }
)


class UpscaleVaryRequest(PromptedRequest):
    """The common fields and a picture that is varied or enlarged."""

    input_image: Picture
    uov_method: Annotated[Method, BeforeValidator(OneOf("upscale or vary method", tuple(Method), any_case=True))] = (
        Method.UPSCALE_2
    )
    upscale_value: Annotated[float, Field(ge=1, le=5)] = 1.0
    """Factor of ``Upscale (Custom)``; the other methods have their own."""

    @property
    def diffused(self) -> bool:
        """Whether the method has the picture sampled, if its size allows it."""
        match MEANING[self.uov_method]:
            case Upscaling(diffused=diffused):
                return diffused
            case Varying():
                return True

    @property
    def divisible(self) -> bool:
        """Not where nothing is sampled: that is one picture, however many are wanted."""
        return self.diffused and super().divisible
