"""Growing a picture: sizes against recordings and the specification, and what must hold of any picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fooocus_engine.imaging.outpaint import default_distance, outpainted
from fooocus_engine.types import Margins
from tests.golden.records import OWN_RECORDS, Group

RECORDS = Group(OWN_RECORDS / "G_image_ops.json")
SIDES = st.integers(0, 9)
MARGINS = st.builds(Margins, SIDES, SIDES, SIDES, SIDES)
SIZES = st.tuples(st.integers(1, 12), st.integers(1, 12))


def picture(size: tuple[int, int]) -> tuple[Image.Image, np.ndarray]:
    random = np.random.default_rng(sum(size))
    width, height = size
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels), random.integers(0, 256, (height, width), np.uint8)


@pytest.mark.parametrize("record", [r for r in RECORDS.records if r.kind == "outpaint_sizes"], ids=lambda r: r.id)
def test_default_distances_are_the_recorded_ones(record):
    height, width = map(int, record.id.split("/")[1].split("x"))
    assert default_distance(height) == record.data["top_or_bottom_rows"]
    assert default_distance(width) == record.data["left_or_right_columns"]


def test_all_four_sides_of_the_specifications_example():
    above, beside = default_distance(1000), default_distance(800)
    image, mask = picture((800, 1000))
    grown, white = outpainted(image, mask, Margins(above, above, beside, beside))
    assert grown.size == (1280, 1600)  # image-inpaint.md §2: 1600 × 1280
    assert white.shape == (1600, 1280)


@settings(deadline=None, database=None)
@given(SIZES, MARGINS)
def test_the_picture_stays_in_its_place_and_all_around_it_is_to_be_repainted(size, margins):
    image, mask = picture(size)
    grown, new_mask = outpainted(image, mask, margins)
    width, height = size
    assert grown.size == (width + margins.left + margins.right, height + margins.top + margins.bottom)
    inside = slice(margins.top, margins.top + height), slice(margins.left, margins.left + width)
    assert np.array_equal(np.asarray(grown)[inside], np.asarray(image))
    assert np.array_equal(new_mask[inside], mask)
    outside = np.ones(new_mask.shape, bool)
    outside[inside] = False
    assert (new_mask[outside] == 255).all()


@settings(deadline=None, database=None)
@given(SIZES, MARGINS)
def test_every_new_pixel_repeats_the_nearest_old_one(size, margins):
    image, mask = picture(size)
    grown = np.asarray(outpainted(image, mask, margins)[0])
    rows, columns = (
        np.clip(np.arange(length) - before, 0, old - 1)
        for length, before, old in zip(grown.shape[:2], (margins.top, margins.left), size[::-1], strict=True)
    )
    assert np.array_equal(grown, np.asarray(image)[rows][:, columns])


def test_without_margins_nothing_is_copied():
    image, mask = picture((5, 4))
    assert outpainted(image, mask, Margins()) == (image, mask)
