"""``image_prompts`` (api.md §2.8, §3.8a): pictures that steer besides the words. No torch, no pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated

from pydantic import BeforeValidator, Field, field_validator

from fooocus_engine.endpoints.generate.contract import MAX_ENTRIES, GenerateRequest
from fooocus_engine.endpoints.wire_types import OneOf, OptionalPicture, WireModel, json_list, refusal

MAX_PICTURES = 4


class Kind(StrEnum):
    """The wire values of ``cn_type``, in the order in which they are worked on (image-control.md)."""

    CANNY = "PyraCanny"
    CPDS = "CPDS"
    IMAGE = "ImagePrompt"
    FACE = "FaceSwap"


@dataclass(frozen=True)
class Usual:
    """What holds where a request says nothing or 0."""

    stop: float
    """Share of the noise schedule, counted from the noisy end, during which the picture steers."""
    weight: float


USUAL: Mapping[Kind, Usual] = MappingProxyType(
    {
        Kind.CANNY: Usual(0.5, 1.0),
        Kind.CPDS: Usual(0.5, 1.0),
        Kind.IMAGE: Usual(0.5, 0.6),
        Kind.FACE: Usual(0.9, 0.75),
    }
)


class GivenPrompt(WireModel):
    """One entry. Without a picture it is an empty slot, as UI clients send them."""

    cn_img: OptionalPicture = None
    cn_stop: Annotated[float, Field(ge=0, le=1)] = 0.0
    """0 = as usual for the type."""
    cn_weight: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0 = as usual for the type."""
    cn_type: Annotated[Kind, BeforeValidator(OneOf("control image type", tuple(Kind), any_case=True))] = Kind.IMAGE

    @property
    def stop(self) -> float:
        """The share that holds."""
        return self.cn_stop or USUAL[self.cn_type].stop

    @property
    def weight(self) -> float:
        """The weight that holds."""
        return self.cn_weight or USUAL[self.cn_type].weight


class PromptedRequest(GenerateRequest):
    """The common fields, and pictures that steer besides the words."""

    image_prompts: Annotated[
        tuple[GivenPrompt, ...], BeforeValidator(json_list), Field(max_length=MAX_ENTRIES, exclude=True, repr=False)
    ] = ()

    @property
    def shown(self) -> Mapping[int, GivenPrompt]:
        """The entries that hold a picture, by their place in the list."""
        return {place: entry for place, entry in enumerate(self.image_prompts) if entry.cn_img is not None}

    @property
    def divisible(self) -> bool:
        """Not where what would steer is shown, as many pictures as steer."""
        return super().divisible and not (self.shown and self.advanced_params.debugging_cn_preprocessor)

    @field_validator("image_prompts")
    @classmethod
    def _few_enough_pictures(cls, entries: tuple[GivenPrompt, ...]) -> tuple[GivenPrompt, ...]:
        count = sum(entry.cn_img is not None for entry in entries)
        if count > MAX_PICTURES:
            raise refusal("too_many_image_prompts", f"at most {MAX_PICTURES} pictures are allowed, {count} are given")
        return entries
