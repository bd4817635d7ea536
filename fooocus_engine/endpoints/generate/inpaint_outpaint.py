"""``image-inpaint-outpaint`` (api.md §2.7): what may be asked. No torch, no pictures."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from fooocus_engine.endpoints.generate.contract import MAX_ENTRIES, GenerateRequest
from fooocus_engine.endpoints.wire_types import OneOf, OptionalPicture, Picture, Text, is_no_picture, json_list

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


class InpaintRequest(GenerateRequest):
    """The common fields, a picture, and which part of it is made anew or where it grows."""

    input_image: Picture
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
    image_prompts: Annotated[
        tuple[dict[str, Any], ...], BeforeValidator(json_list), Field(exclude=True, repr=False)
    ] = ()

    @property
    def whole_prompt(self) -> str:
        """The additional prompt, then the prompt; only lines that are there."""
        return "\n".join(text for text in (self.inpaint_additional_prompt, self.prompt) if text)

    @property
    def has_image_prompts(self) -> bool:
        """Whether an entry holds a picture; UI clients send empty slots."""
        return any(not is_no_picture(entry.get("cn_img")) for entry in self.image_prompts)
