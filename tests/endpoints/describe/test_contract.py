"""The fields of ``describe-image`` (api.md §2.11), old and new."""

from __future__ import annotations

from typing import Any

import pytest

from fooocus_engine.endpoints.describe.contract import DescribeRequest, ImageType
from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.problems import validated
from fooocus_engine.errors import InvalidRequest

PHOTO, ANIME = ImageType.PHOTO, ImageType.ANIME


def asked(**fields: Any) -> DescribeRequest:
    return validated(DescribeRequest, canonical({"endpoint": "describe", "image": "x", **fields}).fields)


@pytest.mark.parametrize(
    ("fields", "types"),
    [
        ({}, (PHOTO,)), ({"image_type": "Anime"}, (ANIME,)), ({"type": "Anime"}, (ANIME,)),
        ({"type": "Photo", "image_type": "Anime"}, (ANIME,)), ({"image_type": "photo"}, (PHOTO,)),
        ({"image_type": "Photograph"}, (PHOTO,)), ({"type": "Art/Anime"}, (ANIME,)),
        ({"image_type": "Anime, Photo"}, (PHOTO, ANIME)), ({"image_type": ["Art/Anime", "Photograph"]}, (PHOTO, ANIME)),
        ({"image_type": ["Photo", "Photo"]}, (PHOTO,)), ({"image_type": None}, (PHOTO,)), ({"type": ""}, (PHOTO,)),
        ({"image_type": '["Photo", "Anime"]'}, (PHOTO, ANIME)),
    ],
)  # fmt: skip
def test_a_type_may_be_spelt_in_many_ways(fields, types):
    assert asked(**fields).image_type == types


def test_of_two_spellings_the_old_one_is_told_as_ignored():
    assert canonical({"endpoint": "describe", "type": "Photo", "image_type": "Anime"}).ignored == ("type",)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"image": None}, ("image",)),
        ({"image": "none"}, ("image",)),
        ({"image": 5}, ("image",)),
        ({"image_type": "Drawing"}, ("image_type",)),
        ({"image_type": "Photo,Drawing"}, ("image_type",)),
        ({"type": 5}, ("image_type",)),
        ({"image_type": []}, ("image_type",)),
        ({"image_type": [5]}, ("image_type", 0)),
        ({"image_type": ","}, ("image_type",)),
    ],
)
def test_what_is_wrong_is_told_at_its_field(fields, place):
    with pytest.raises(InvalidRequest) as error:
        asked(**fields)
    assert [problem.loc[1:] for problem in error.value.problems] == [place]
