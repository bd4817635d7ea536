"""``describe-image`` (api.md §2.11): what may be asked. No torch, no pictures."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from fooocus_engine.endpoints.generate.contract import MAX_ENTRIES
from fooocus_engine.endpoints.wire_types import OneOf, Picture, WireModel, json_list


class ImageType(StrEnum):
    """The wire values of ``image_type``, in the order in which the answers are given."""

    PHOTO = "Photo"
    ANIME = "Anime"


def _each_once(types: tuple[Any, ...]) -> tuple[ImageType, ...]:
    return tuple(kind for kind in ImageType if kind in types)


TYPE = OneOf("image type", tuple(ImageType), any_case=True)


def _named(value: Any) -> Any:
    """The types of a list. A wrong one is a problem of the field, whose position a comma list need not tell."""
    return [TYPE(item) for item in json_list(value)]


class DescribeRequest(WireModel):
    """A picture, and by which of the two networks it is described."""

    image: Picture
    image_type: Annotated[
        tuple[ImageType, ...],
        BeforeValidator(_named),
        Field(min_length=1, max_length=MAX_ENTRIES),
        AfterValidator(_each_once),
    ] = (ImageType.PHOTO,)
