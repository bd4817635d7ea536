"""An enhancement as a row of parts, each planned as a request of its own (image-enhance.md §2). No torch, no pixels.

A part is spelt as canonical fields of ``image-upscale-vary`` or of an inpaint, so that the rules of those hold. What is
wrong with a part is told at the field of the enhancement that it comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from fooocus_engine.endpoints.enhance.contract import (
    OFF,
    EnhanceControl,
    EnhanceRequest,
    Order,
    Retouch,
    Words,
)
from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.generate.upscale_vary import UpscaleVaryRequest
from fooocus_engine.endpoints.problems import relocated
from fooocus_engine.errors import InvalidRequest, Location
from fooocus_engine.types import Sources

WHITE = 255
GIVEN = "taken in"
"""Stands for the picture of a part, which has been made or taken in already."""

Planner = Callable[[Mapping[str, Any], type[GenerateRequest], Sources], GenerationPlan]
"""Plans canonical fields of a kind of request, upon its pictures."""


@dataclass(frozen=True)
class Part:
    """One step of the row."""

    fields: Mapping[str, Any]
    control: EnhanceControl | None = None
    """What is looked for and made anew; ``None``: the whole picture is varied or enlarged."""
    number: int = 0
    """Of the control among those of the request."""
    borrows_words: bool = False
    """Made with the words of the last control before it that found something."""

    @property
    def model(self) -> type[GenerateRequest]:
        """What kind of request it is."""
        return UpscaleVaryRequest if self.control is None else Retouch


def parts_of(request: EnhanceRequest, given: Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts in the order in which they are done. ``given`` are the canonical fields of ``request``."""
    common = _common(request, given)
    controls = [
        Part(_retouch(common, control), control, number)
        for number, control in enumerate(request.enhance_ctrlnets)
        if control.enhance_enabled
    ]
    if request.enhance_uov_method == OFF:
        return tuple(controls)
    last = request.enhance_uov_processing_order is Order.AFTER
    borrows = last and request.enhance_uov_prompt_type is Words.LAST
    whole = Part({**common, "uov_method": request.enhance_uov_method}, borrows_words=borrows)
    return (*controls, whole) if last else (whole, *controls)


def planned(part: Part, sources: Sources, plan: Planner) -> GenerationPlan:
    """What ``part`` does with ``sources``.

    Raises:
        InvalidRequest: it cannot be done; told at the fields of the enhancement.
    """
    try:
        return plan(part.fields, part.model, sources)
    except InvalidRequest as error:
        raise InvalidRequest(relocated(error.problems, _places(part))) from error


def rehearsed(parts: tuple[Part, ...], size: tuple[int, int], plan: Planner) -> Iterator[GenerationPlan]:
    """The plans of ``parts`` for a picture of ``size``, as if every mask were white: whatever is wrong shows before
    anything is loaded. Steps, models and sizes of the pictures are those that there will be.
    """
    for part in parts:
        blank = Image.new("1", size)
        mask = None if part.control is None else Image.new("L", size, WHITE)
        made = planned(part, Sources(blank, mask), plan)
        if part.control is None:
            size = made.size
        yield made


def with_words_of(part: Part, other: Part) -> Part:
    """``part`` with the prompts of ``other``."""
    words = {name: other.fields[name] for name in ("prompt", "negative_prompt")}
    return Part({**part.fields, **words}, part.control, part.number)


def _common(request: EnhanceRequest, given: Mapping[str, Any]) -> dict[str, Any]:
    """What holds for every part: one picture with the request's own seed."""
    kept = {name: value for name, value in given.items() if name in GenerateRequest.model_fields}
    return {
        **kept,
        "input_image": GIVEN,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "image_seed": request.image_seed,
        "image_number": 1,
        "image_index_offset": 0,
        "image_total": 1,
        "advanced_params": {**kept.get("advanced_params", {}), "debugging_inpaint_preprocessor": False},
    }


def _retouch(common: Mapping[str, Any], control: EnhanceControl) -> dict[str, Any]:
    engine = {} if control.enhance_inpaint_engine is None else {"inpaint_engine": control.enhance_inpaint_engine}
    inherited = {name: value for name, value in common["advanced_params"].items() if name != "inpaint_engine"}
    advanced = {
        **inherited,
        **engine,
        "inpaint_disable_initial_latent": control.enhance_inpaint_disable_initial_latent,
        "inpaint_strength": control.enhance_inpaint_strength,
        "inpaint_respective_field": control.enhance_inpaint_respective_field,
    }
    return {
        **common,
        "prompt": _first_filled(control.enhance_prompt, common["prompt"]),
        "negative_prompt": _first_filled(control.enhance_negative_prompt, common["negative_prompt"]),
        "advanced_params": advanced,
    }


def _first_filled(own: str, otherwise: str) -> str:
    return own if own.strip() else otherwise


def _places(part: Part) -> dict[Location, Location]:
    """Fields of the part → those that they come from."""
    at = ("body", "enhance_ctrlnets", part.number)
    return {
        ("body", "input_image"): ("body", "enhance_input_image"),
        ("body", "upscale_value"): ("body", "enhance_uov_method"),
        ("body", "uov_method"): ("body", "enhance_uov_method"),
        ("body", "input_mask"): (*at, "enhance_mask_model"),
        ("body", "outpaint_selections"): ("body", "enhance_input_image"),
        ("body", "advanced_params", "inpaint_strength"): (*at, "enhance_inpaint_strength"),
        ("body", "advanced_params", "inpaint_engine"): (*at, "enhance_inpaint_engine"),
    }
