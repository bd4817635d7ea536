"""``AdvancedParams`` (api.md §2.4) and ``Lora`` (§2.3): the nested objects of a generation request. No torch.

Fields that a preset decides have no default here; ``contract.py`` fills them in. Knows ranges and accepted names, not
which files are installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from fooocus_engine.endpoints.generate.presets import NO_MODEL
from fooocus_engine.endpoints.generate.sizes import MAX_SIDE, MIN_SIDE
from fooocus_engine.endpoints.wire_types import FileName, OneOf, WireModel, json_object, refusal
from fooocus_engine.sampling.settings import SAMPLERS, SCHEDULERS, FreeU, GuidanceSettings, RefinerSwap

LEAST_STRENGTH = 0.001  # a schedule has steps / strength noise levels
INPAINT_ENGINES = ("None", "v1", "v2.5", "v2.6")


def _side(pixels: int) -> int:
    if 0 < pixels < MIN_SIDE:
        raise refusal("side_too_small", f"must be from {MIN_SIDE} to {MAX_SIDE}, or -1 for the requested size")
    return pixels


def _strength(value: float) -> float:
    if 0 < value < LEAST_STRENGTH:
        raise refusal("strength_too_small", f"must be from {LEAST_STRENGTH} to 1, or -1 for the method's own strength")
    return value


Share = Annotated[float, Field(ge=0, le=1)]
Scaler = Annotated[float, Field(ge=0.1, le=3)]
Override = Annotated[float, Field(ge=-1, le=1), AfterValidator(_strength)]
"""At or below 0 = not overwritten."""
Side = Annotated[int, Field(ge=-1, le=MAX_SIDE), AfterValidator(_side)]
Pixels = Annotated[int, Field(ge=-64, le=64)]
Threshold = Annotated[int, Field(ge=1, le=255)]


class Limits(Protocol):
    """The part of the settings that limits a request."""

    @property
    def max_loras(self) -> int: ...
    @property
    def lora_weight_range(self) -> tuple[float, float]: ...


@dataclass(frozen=True)
class Rules:
    """What validators need to know besides the value; pydantic's validation context."""

    style: OneOf
    limits: Limits
    given: frozenset[str]


class Lora(WireModel):
    """One LoRA of the request. ``model_name`` ``"None"`` is an empty slot."""

    enabled: bool = True
    model_name: FileName
    weight: float = 0.5

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        """``[enabled, name, weight]`` and ``[name, weight]``, the forms of presets and of the history."""
        match value:
            case [enabled, name, weight]:
                value = {"enabled": enabled, "model_name": name, "weight": weight}
            case [name, weight]:
                value = {"model_name": name, "weight": weight}
            case list() | tuple():
                raise refusal("lora_form", "must be an object, [name, weight] or [enabled, name, weight]")
        return json_object(value)

    @field_validator("model_name", mode="before")
    @classmethod
    def _empty_slot(cls, name: Any) -> Any:
        return NO_MODEL if name is None or name == "" else name

    @field_validator("weight")
    @classmethod
    def _in_range(cls, weight: float, info: ValidationInfo[Rules]) -> float:
        low, high = info.context.limits.lora_weight_range
        if not low <= weight <= high:
            raise refusal("lora_weight", f"must be from {low} to {high}")
        return weight

    @property
    def in_use(self) -> bool:
        """Whether this entry changes the picture's models."""
        return self.enabled and self.model_name != NO_MODEL


class AdvancedParams(WireModel):
    """Every setting of api.md §2.4, in its order. An ``overwrite_…`` value at or below 0 overwrites nothing."""

    disable_preview: bool = False
    disable_intermediate_results: bool = False
    disable_seed_increment: bool = False
    adm_scaler_positive: Scaler = GuidanceSettings.adm_positive
    adm_scaler_negative: Scaler = GuidanceSettings.adm_negative
    adm_scaler_end: Share = GuidanceSettings.adm_end
    adaptive_cfg: Annotated[float, Field(ge=1, le=30)]
    clip_skip: Annotated[int, Field(ge=1, le=12)]
    sampler_name: Annotated[str, AfterValidator(OneOf("sampler", SAMPLERS))]
    scheduler_name: Annotated[str, AfterValidator(OneOf("scheduler", SCHEDULERS))]
    overwrite_step: Annotated[int, Field(ge=-1, le=200)]
    overwrite_switch: Annotated[float, Field(ge=-1, le=200)] = -1.0
    """From 1 on a step index, below 1 a share of the steps."""
    overwrite_width: Side = -1
    overwrite_height: Side = -1
    overwrite_vary_strength: Override = -1.0
    overwrite_upscale_strength: Override = -1.0
    mixing_image_prompt_and_vary_upscale: bool = False
    mixing_image_prompt_and_inpaint: bool = False
    debugging_cn_preprocessor: bool = False
    skipping_cn_preprocessor: bool = False
    canny_low_threshold: Threshold = 64
    canny_high_threshold: Threshold = 128
    refiner_swap_method: Annotated[RefinerSwap, BeforeValidator(OneOf("refiner swap method", tuple(RefinerSwap)))] = (
        RefinerSwap.JOINT
    )
    controlnet_softness: Share = 0.25
    freeu_enabled: bool = False
    freeu_b1: float = FreeU.b1
    freeu_b2: float = FreeU.b2
    freeu_s1: float = FreeU.s1
    freeu_s2: float = FreeU.s2
    debugging_inpaint_preprocessor: bool = False
    inpaint_disable_initial_latent: bool = False
    inpaint_engine: Annotated[str, AfterValidator(OneOf("inpaint engine", INPAINT_ENGINES))]
    inpaint_strength: Share = 1.0
    inpaint_respective_field: Share = 1.0
    inpaint_advanced_masking_checkbox: bool = True
    invert_mask_checkbox: bool = False
    inpaint_erode_or_dilate: Pixels = 0
    black_out_nsfw: bool = False
    vae_name: FileName
    debugging_dino: bool = False
    dino_erode_or_dilate: Pixels = 0
    debugging_enhance_masks_checkbox: bool = False

    @model_validator(mode="before")
    @classmethod
    def _is_object(cls, value: Any) -> Any:
        return json_object(value)
