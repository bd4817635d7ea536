"""``image-inpaint-outpaint`` and ``image-prompt`` (api.md §§2.7, 2.8): what may be asked. No torch, no pictures."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from fooocus_engine.endpoints.generate.contract import MAX_ENTRIES
from fooocus_engine.endpoints.generate.image_prompts import PromptedRequest
from fooocus_engine.endpoints.wire_types import OneOf, OptionalPicture, Picture, Text, json_list
from fooocus_engine.errors import Problem

MAX_DISTANCE = 4096  # pixels


class Direction(StrEnum):
    """The wire values of ``outpaint_selections``."""

    LEFT = "Left"
    RIGHT = "Right"
    TOP = "Top"
    BOTTOM = "Bottom"


DIRECTION = OneOf("outpaint direction", tuple(Direction), any_case=True)
Distance = Annotated[int, Field(le=MAX_DISTANCE)]
"""Pixels; at or below 0 = a share of the picture's side."""


def _chosen(value: Any) -> Any:
    """The directions of a list. A wrong one is a problem of the field, whose position a comma list need not tell."""
    return [DIRECTION(item) for item in json_list(value)]


class RepaintRequest(PromptedRequest):
    """The common fields, a picture, and which part of it is made anew or where it grows."""

    input_image: OptionalPicture = None
    """``None``: nothing is repainted."""
    input_mask: OptionalPicture = None
    """White = repaint. ``None`` is black."""
    inpaint_additional_prompt: Text = ""
    """Comes before ``prompt``, on a line of its own."""
    outpaint_selections: Annotated[tuple[Direction, ...], BeforeValidator(_chosen), Field(max_length=MAX_ENTRIES)] = ()
    outpaint_distance_left: Distance = 0
    outpaint_distance_right: Distance = 0
    outpaint_distance_top: Distance = 0
    outpaint_distance_bottom: Distance = 0
    """Of no effect unless its direction is chosen, as the others."""

    @property
    def whole_prompt(self) -> str:
        """The additional prompt, then the prompt; only lines that are there."""
        return "\n".join(text for text in (self.inpaint_additional_prompt, self.prompt) if text)

    @property
    def finishes_unpatched(self) -> bool:
        """Whether a patched base leaves its last steps to the plain one, where there is no refiner."""
        return True

    @property
    def divisible(self) -> bool:
        """Not where what would be repainted is shown, always the same pictures."""
        shows = self.input_image is not None and self.advanced_params.debugging_inpaint_preprocessor
        return super().divisible and not shows


class InpaintRequest(RepaintRequest):
    """``image-inpaint-outpaint``."""

    input_image: Picture


class ImagePromptRequest(RepaintRequest):
    """``image-prompt``: a picture to repaint, pictures that steer, or both."""

    def contradictions(self) -> Iterator[Problem]:
        """That there is no picture at all."""
        if self.input_image is None and not self.shown:
            reason = "is required: a picture here, or an input_image"
            yield Problem("missing", ("body", "image_prompts"), reason)
