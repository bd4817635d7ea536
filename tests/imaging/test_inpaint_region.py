"""The region of an inpaint against the specification and recordings: fill, latent mask, paste-back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fooocus_engine.imaging.box import Box, interested_box
from fooocus_engine.imaging.inpaint_region import Region, cut_out, filled, latent_mask, pasted, soft_edge
from fooocus_engine.imaging.masks import softened
from fooocus_engine.imaging.resize import shape_ceil
from tests.golden.records import OWN_RECORDS, Group

RECORDS = Group(OWN_RECORDS / "G_image_ops.json")


def mask_of(height: int, width: int, rectangle: tuple[int, ...]) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[Box(*rectangle).pixels] = 255
    return mask


def random_picture(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def region_of(mask: np.ndarray, box: Box, image: Image.Image) -> Region:
    return Region(box, image, mask, soft_edge(mask, box))


def test_the_fill_has_the_check_values_of_the_specification():
    pixels = np.zeros((256, 256, 3), np.uint8)
    pixels[:128], pixels[128:] = (200, 40, 10), (20, 120, 240)
    pixels[64:192, 96:160] = (255, 0, 255)
    mask = mask_of(256, 256, (64, 192, 96, 160))
    fill = np.asarray(filled(region_of(mask, Box(0, 256, 0, 256), Image.fromarray(pixels))))
    expected = {
        (64, 96): (199, 41, 11), (64, 127): (198, 41, 13), (100, 127): (164, 57, 56), (127, 127): (111, 80, 124),
        (128, 128): (109, 80, 126), (150, 159): (25, 117, 234), (191, 120): (22, 119, 238),
    }  # fmt: skip
    assert {place: tuple(fill[place].tolist()) for place in expected} == expected
    assert np.array_equal(fill[mask == 0], pixels[mask == 0])


def test_the_fill_of_a_photograph_is_the_recorded_one():
    image = Image.fromarray(RECORDS.record("inputs").picture("C")).convert("RGB")
    mask = RECORDS.record("mask_inputs").picture("C_mask")
    box = Box(0, image.height, 0, image.width)
    assert np.array_equal(np.asarray(filled(region_of(mask, box, image))), RECORDS.record("fill").picture("out"))


@pytest.mark.parametrize("size", [(64, 48), (67, 51), (8, 9)])
def test_a_latent_pixel_is_repainted_where_the_mask_touches_it(size):
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    assert not latent_mask(mask).any()
    mask[height - 1, width - 1] = 255
    latent = latent_mask(mask)
    assert latent.shape == (height // 8, width // 8)
    assert latent.sum() == latent[-1, -1] == 1


def test_every_latent_pixel_is_the_brightest_of_its_pixels():
    mask = np.where(np.random.default_rng(0).random((64, 48)) > 0.99, np.uint8(255), np.uint8(0))
    for row, column in np.ndindex(8, 6):
        pixels = mask[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
        assert latent_mask(mask)[row, column] == pixels.max() / 255


def test_a_small_cut_out_is_enlarged_before_it_is_fitted():
    asked: list[tuple[int, int]] = []

    def enlarge(image: Image.Image) -> Image.Image:
        asked.append(image.size)
        return image.resize((4 * image.width, 4 * image.height))

    mask = mask_of(1100, 1200, (100, 150, 100, 180))
    image = random_picture(1200, 1100)
    region = cut_out(image, mask, Box(90, 190, 80, 230), enlarge)
    assert asked == [(150, 100)]
    assert region.image.size == region.mask.shape[::-1] and shape_ceil(*region.image.size) == 1024
    assert region.soft.shape == (100, 150)
    assert set(np.unique(region.mask)) == {0, 255}
    cut_out(image, mask, Box(0, 1100, 0, 1200), enlarge)
    assert len(asked) == 1


def test_a_cut_out_of_the_right_area_keeps_its_own_size():
    image, mask = random_picture(1010, 1003), mask_of(1003, 1010, (10, 20, 10, 20))
    region = cut_out(image, mask, Box(0, 1003, 0, 1010), lambda part: part)
    assert np.array_equal(np.asarray(region.image), np.asarray(image))
    assert np.array_equal(region.mask, mask)


@settings(deadline=None, database=None)
@given(st.data())
def test_pasting_changes_nothing_away_from_the_mask_and_all_inside_it(data):
    height, width = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    mask = mask_of(height, width, (top, min(top + 4, height), left, min(left + 3, width)))
    original, made = random_picture(width, height, 1), random_picture(width, height, 2)
    box = Box(0, height, 0, width)
    result, old, new = (
        np.asarray(image) for image in (pasted(original, region_of(mask, box, original), made), original, made)
    )
    soft = softened(mask)
    assert np.array_equal(result[soft == 0], old[soft == 0])
    assert np.array_equal(result[mask == 255], new[mask == 255])
    share = soft[..., None] / 255
    assert np.abs(result - (new * share + old * (1 - share))).max() < 1 + 1e-9


@pytest.mark.parametrize("box", [Box(0, 150, 0, 130), Box(60, 70, 50, 90), Box(0, 1, 129, 130)])
def test_the_soft_edge_of_a_box_is_that_of_the_whole_picture(box):
    mask = np.where(np.random.default_rng(0).random((150, 130)) > 0.999, np.uint8(255), np.uint8(0))
    assert np.array_equal(soft_edge(mask, box), softened(mask)[box.pixels])


def test_pasting_a_picture_onto_itself_is_the_identity():
    image = random_picture(80, 70)
    mask = mask_of(70, 80, (20, 40, 30, 60))
    box = interested_box(Box(20, 40, 30, 60), image.size, 0.5)
    part = image.crop((box.left, box.top, box.right, box.bottom))
    assert np.array_equal(np.asarray(pasted(image, region_of(mask, box, image), part)), np.asarray(image))


def test_outside_of_the_box_nothing_changes_even_where_the_edge_is_soft():
    image = random_picture(120, 120)
    mask = mask_of(120, 120, (50, 60, 50, 60))
    box = interested_box(Box(50, 60, 50, 60), image.size, 0.0)
    result = np.array(pasted(image, region_of(mask, box, image), random_picture(500, 300, 3)))
    before = np.array(image)
    assert not np.array_equal(result, before)
    result[box.pixels] = before[box.pixels]
    assert np.array_equal(result, before)
