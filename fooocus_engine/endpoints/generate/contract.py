"""What a generation request may say: the common fields of api.md §2.2, validated and filled in. No torch, no files.

``validate_generation`` takes canonical fields (``dialects.py``) and the preset of the server; gives a frozen
``GenerateRequest`` in which every default is settled, or refuses with every problem at once. Whether the model files
that it names exist is the planner's question.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator

from fooocus_engine.endpoints.generate.advanced import AdvancedParams, Limits, Lora, Rules
from fooocus_engine.endpoints.generate.performance import Performance
from fooocus_engine.endpoints.generate.presets import Preset, preset_named
from fooocus_engine.endpoints.generate.sizes import format_size, parse_size
from fooocus_engine.endpoints.problems import validated
from fooocus_engine.endpoints.wire_types import FileName, OneOf, SaveName, Text, WebUrl, WireModel, json_list, refusal
from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.output.encode import MEDIA_TYPES, SCHEMES

MAX_IMAGES = 32
MAX_SEED = 2**63 - 1
MAX_ENTRIES = 300  # of one list; more than all styles there are, so only a broken client meets it


def _known_style(name: str, info: ValidationInfo[Rules]) -> Any:
    return info.context.style(name)


def _size(text: str) -> str:
    try:
        return format_size(parse_size(text))
    except ValueError as error:
        raise refusal("size", str(error)) from None


StyleName = Annotated[str, AfterValidator(_known_style)]
ImageIndex = Annotated[int, Field(ge=0, le=MAX_IMAGES - 1)]
ImageCount = Annotated[int, Field(ge=1, le=MAX_IMAGES)]


class GenerateRequest(WireModel):
    """The fields that every generation endpoint takes, under their wire names. Those of a preset have no default."""

    prompt: Text
    negative_prompt: Text
    style_selections: Annotated[tuple[StyleName, ...], BeforeValidator(json_list), Field(max_length=MAX_ENTRIES)]
    performance_selection: Annotated[
        Performance, BeforeValidator(OneOf("performance", tuple(Performance), any_case=True))
    ]
    aspect_ratios_selection: Annotated[str, AfterValidator(_size)]
    """``W*H``; see ``sizes.parse_size``."""
    image_number: ImageCount = 1
    image_seed: Annotated[int, Field(ge=-1, le=MAX_SEED)] = -1
    """-1 = drawn by the server."""
    sharpness: Annotated[float, Field(ge=0, le=30)]
    guidance_scale: Annotated[float, Field(ge=1, le=30)]
    base_model_name: FileName
    refiner_model_name: FileName
    """``"None"`` = no refiner."""
    refiner_switch: Annotated[float, Field(ge=0.1, le=1)]
    loras: Annotated[tuple[Lora, ...], BeforeValidator(json_list), Field(max_length=MAX_ENTRIES)]
    advanced_params: AdvancedParams
    save_meta: bool = True
    meta_scheme: Annotated[str, AfterValidator(OneOf("metadata scheme", SCHEMES))] = SCHEMES[0]
    save_extension: Annotated[str, AfterValidator(OneOf("save extension", tuple(MEDIA_TYPES), any_case=True))] = "png"
    save_name: SaveName = ""
    read_wildcards_in_order: bool = False
    require_base64: bool = False
    async_process: bool = False
    webhook_url: WebUrl = ""
    preset: str
    """Name of the preset in effect: the client's, else the server's."""
    image_index_offset: ImageIndex = 0
    """Index of this job's first image within the whole request, when that is split over several jobs (§6.9)."""
    image_total: ImageCount | None = None
    """Images of the whole request; ``None`` = those of this job."""
    deliver_webhook: bool = False
    """The worker itself posts to ``webhook_url``."""
    _given: frozenset[str] = PrivateAttr(default=frozenset())

    @property
    def given(self) -> frozenset[str]:
        """Fields that the client named, those of ``advanced_params`` with that prefix; the rest are defaults."""
        return self._given

    @property
    def whole_prompt(self) -> str:
        """The words of the picture: here the prompt."""
        return self.prompt

    @property
    def divisible(self) -> bool:
        """Whether several jobs may share its pictures."""
        return True

    @property
    def runs(self) -> int:
        """How often a sampler goes through its steps, at most."""
        return self.image_number

    def contradictions(self) -> Iterator[Problem]:
        """What is wrong with fields together that are right one by one."""
        yield from ()

    @field_validator("loras")
    @classmethod
    def _few_enough(cls, loras: tuple[Lora, ...], info: ValidationInfo[Rules]) -> tuple[Lora, ...]:
        in_use, most = sum(lora.in_use for lora in loras), info.context.limits.max_loras
        if in_use > most:
            raise refusal("too_many_loras", f"at most {most} enabled LoRAs are allowed, {in_use} are enabled")
        return loras

    @field_validator("image_total")
    @classmethod
    def _part_fits_whole(cls, total: int | None, info: ValidationInfo[Rules]) -> int | None:
        last = info.data.get("image_index_offset", 0) + info.data.get("image_number", 1)
        if total is not None and total < last:
            raise refusal("image_total", f"must be at least image_index_offset + image_number = {last}")
        return total

    def model_post_init(self, context: Rules, /) -> None:
        """Keeps what the client named."""
        self._given = context.given


Request = TypeVar("Request", bound=GenerateRequest)


def validate_generation(
    fields: Mapping[str, Any],
    model: type[Request] = GenerateRequest,  # type: ignore[assignment]
    *,
    default_preset: Preset,
    styles: Collection[str],
    limits: Limits,
) -> Request:
    """The ``model`` that canonical ``fields`` spell, defaults taken from the preset they name, else ``default_preset``.

    ``styles`` are the known style names.

    Raises:
        InvalidRequest: with every problem found at once.
    """
    problems: list[Problem] = []
    try:
        preset = _preset(fields, default_preset)
    except InvalidRequest as error:
        problems.extend(error.problems)
        preset = default_preset
    rules = Rules(OneOf("style", tuple(styles), any_case=True), limits, _names(fields))
    try:
        request = validated(model, _filled(fields, preset), rules)
        problems.extend(request.contradictions())
    except InvalidRequest as error:
        problems.extend(error.problems)
    if problems:
        raise InvalidRequest(problems)
    return request


def _preset(fields: Mapping[str, Any], default: Preset) -> Preset:
    match fields.get("preset"):
        case None:
            return default
        case str(name):
            return preset_named(name)
        case other:
            reason = "must be the name of a preset"
            raise InvalidRequest([Problem("string_type", ("body", "preset"), reason, other)])


def _names(fields: Mapping[str, Any]) -> frozenset[str]:
    advanced = fields.get("advanced_params")
    nested = advanced if isinstance(advanced, Mapping) else {}
    return frozenset(fields) | {f"advanced_params.{name}" for name in nested}


def _filled(fields: Mapping[str, Any], preset: Preset) -> dict[str, Any]:
    """``fields`` over the preset's values. A malformed ``advanced_params`` stays, so that it is reported."""
    advanced = fields.get("advanced_params", {})
    if isinstance(advanced, Mapping):
        advanced = {**preset.advanced_defaults(), **advanced}
    return {**preset.request_defaults(), **fields, "preset": preset.name, "advanced_params": advanced}
