"""``generate-mask`` (api.md §2.12): what may be asked. No torch, no pictures."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from fooocus_engine.endpoints.generate.advanced import Share
from fooocus_engine.endpoints.mask.settings import BY_WORDS, CLOTHES, MASK_MODELS, MOST_DETECTIONS, MaskSettings
from fooocus_engine.endpoints.wire_types import OneOf, Picture, Text, WireModel, refusal
from fooocus_engine.models.vision_files import SEGMENTERS

MaskModel = Annotated[str, AfterValidator(OneOf("mask model", MASK_MODELS))]
ClothCategory = Annotated[str, AfterValidator(OneOf("cloth category", CLOTHES))]
SamModel = Annotated[str, AfterValidator(OneOf("SAM model", tuple(SEGMENTERS)))]
Detections = Annotated[int, Field(ge=0, le=MOST_DETECTIONS)]
WholePixels = Annotated[float, Field(ge=-64, le=64), AfterValidator(math.trunc)]
"""A number of pixels that may be written with a fraction, which is cut off."""
NO_WORDS = f"says nothing to look for, which mask model {BY_WORDS!r} needs"


class MaskRequest(WireModel):
    """A picture, and what of it is wanted."""

    image: Picture
    mask_model: MaskModel = "isnet-general-use"
    cloth_category: ClothCategory = CLOTHES[0]
    dino_prompt_text: Annotated[Text, Field(validate_default=True)] = ""
    sam_model: SamModel = "vit_b"
    box_threshold: Share = 0.3
    text_threshold: Share = 0.25
    """Decides how the reference labels its finds; has no say in the mask."""
    sam_max_detections: Detections = 0
    dino_erode_or_dilate: WholePixels = 0
    dino_debug: bool = False

    @field_validator("dino_prompt_text")
    @classmethod
    def _says_something(cls, words: str, info: ValidationInfo) -> str:
        if info.data.get("mask_model") == BY_WORDS and not words.strip():
            raise refusal("missing_prompt", NO_WORDS)
        return words

    @property
    def settings(self) -> MaskSettings:
        """How the mask is found."""
        return MaskSettings(
            model=self.mask_model,
            cloth=self.cloth_category,
            words=self.dino_prompt_text,
            segmenter=self.sam_model,
            box_threshold=self.box_threshold,
            most=self.sam_max_detections,
            grow=int(self.dino_erode_or_dilate),
            boxes_only=self.dino_debug,
        )
