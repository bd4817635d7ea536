"""``image-enhance`` (api.md §2.10): what may be asked. No torch, no pictures."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from fooocus_engine.endpoints.generate.advanced import INPAINT_ENGINES, AdvancedParams, Share
from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.inpaint_outpaint import InpaintRequest
from fooocus_engine.endpoints.generate.upscale_vary import Method
from fooocus_engine.endpoints.mask.contract import (
    NO_WORDS,
    ClothCategory,
    Detections,
    MaskModel,
    SamModel,
    WholePixels,
)
from fooocus_engine.endpoints.mask.settings import BY_WORDS, CLOTHES, MaskSettings
from fooocus_engine.endpoints.wire_types import OneOf, Picture, Text, WireModel, json_list, json_object, refusal

MOST_CONTROLS = 3
OFF = "Disabled"
METHODS = (OFF, *(method.value for method in Method))


class Order(StrEnum):
    """When the picture is varied or enlarged."""

    BEFORE = "Before First Enhancement"
    AFTER = "After Last Enhancement"


class Words(StrEnum):
    """Whose words vary or enlarge it, where that comes last."""

    ORIGINAL = "Original Prompts"
    LAST = "Last Filled Enhancement Prompts"


def _has_factor(method: str) -> str:
    if method == Method.UPSCALE_CUSTOM:
        raise refusal("no_factor", f"{method!r} has no factor here; Upscale (1.5x) and (2x) have their own")
    return method


class EnhanceControl(WireModel):
    """One part of the picture that is looked for and made anew."""

    enhance_enabled: bool = False
    enhance_mask_model: MaskModel = BY_WORDS
    enhance_mask_dino_prompt: Annotated[Text, Field(validate_default=True)] = "face"
    enhance_prompt: Text = ""
    """Empty = the request's, as the negative one."""
    enhance_negative_prompt: Text = ""
    enhance_mask_cloth_category: ClothCategory = CLOTHES[0]
    enhance_mask_sam_model: SamModel = "vit_b"
    enhance_mask_text_threshold: Share = 0.25
    enhance_mask_box_threshold: Share = 0.3
    enhance_mask_sam_max_detections: Detections = 0
    enhance_inpaint_disable_initial_latent: bool = False
    enhance_inpaint_engine: Annotated[str, AfterValidator(OneOf("inpaint engine", INPAINT_ENGINES))] | None = None
    """``None`` = the preset's."""
    enhance_inpaint_strength: Share = 1.0
    enhance_inpaint_respective_field: Share = 0.618
    enhance_inpaint_erode_or_dilate: WholePixels = 0
    enhance_mask_invert: bool = False

    @field_validator("enhance_mask_dino_prompt")
    @classmethod
    def _says_something(cls, words: str, info: ValidationInfo) -> str:
        named = info.data.get("enhance_enabled") and info.data.get("enhance_mask_model") == BY_WORDS
        if named and not words.strip():
            raise refusal("missing_prompt", NO_WORDS)
        return words

    def mask_settings(self, advanced: AdvancedParams) -> MaskSettings:
        """How its part is found."""
        return MaskSettings(
            model=self.enhance_mask_model,
            cloth=self.enhance_mask_cloth_category,
            words=self.enhance_mask_dino_prompt,
            segmenter=self.enhance_mask_sam_model,
            box_threshold=self.enhance_mask_box_threshold,
            most=self.enhance_mask_sam_max_detections,
            grow=advanced.dino_erode_or_dilate,
            boxes_only=advanced.debugging_dino,
        )


Control = Annotated[EnhanceControl, BeforeValidator(json_object)]


class EnhanceRequest(GenerateRequest):
    """The common fields, a picture, and what is done to it one after another."""

    enhance_input_image: Picture
    enhance_checkbox: bool = True
    """Accepted; this endpoint always enhances."""
    enhance_uov_method: Annotated[
        str, AfterValidator(OneOf("upscale or vary method", METHODS, any_case=True)), AfterValidator(_has_factor)
    ] = Method.VARY_STRONG.value
    enhance_uov_processing_order: Annotated[Order, BeforeValidator(OneOf("order", tuple(Order)))] = Order.BEFORE
    enhance_uov_prompt_type: Annotated[Words, BeforeValidator(OneOf("prompt type", tuple(Words)))] = Words.ORIGINAL
    save_final_enhanced_image_only: bool = True
    enhance_ctrlnets: Annotated[
        tuple[Control, ...], BeforeValidator(json_list), Field(max_length=MOST_CONTROLS, validate_default=True)
    ] = ()

    @property
    def divisible(self) -> bool:
        """Not: a part goes on from the picture of the one before."""
        return False

    @property
    def runs(self) -> int:
        """Those of the parts."""
        return sum(control.enhance_enabled for control in self.enhance_ctrlnets) + (self.enhance_uov_method != OFF)

    @field_validator("enhance_ctrlnets")
    @classmethod
    def _does_something(cls, controls: tuple[EnhanceControl, ...], info: ValidationInfo) -> Any:
        idle = info.data.get("enhance_uov_method") == OFF and not any(c.enhance_enabled for c in controls)
        if idle:
            raise refusal("nothing_to_do", f"enables nothing, and enhance_uov_method is {OFF!r}")
        return controls


class Retouch(InpaintRequest):
    """What one control asks for, as an inpaint. A patched base makes all of its steps (image-enhance.md §4)."""

    @property
    def finishes_unpatched(self) -> bool:
        return False
