"""Masks against recordings and by what must hold of any mask."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.imaging.masks import black_and_white, grown, inverted, repaint_mask, softened, without_small_holes
from tests.golden.records import OWN_RECORDS, Group

RECORDS = Group(OWN_RECORDS / "G_image_ops.json")
SHAPES = [(1, 1), (1, 40), (40, 1), (33, 50), (70, 64)]


def recorded_mask() -> np.ndarray:
    return RECORDS.record("mask_inputs").picture("C_mask")


def random_mask(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Mostly black, with a few white and grey pixels."""
    random = np.random.default_rng(seed)
    return random.choice(np.array([0, 90, 127, 128, 255], np.uint8), shape, p=[0.9, 0.02, 0.03, 0.02, 0.03])


def distances(mask: np.ndarray) -> np.ndarray:
    """Of every pixel to the nearest one above 127 in king's moves; far more than there are pixels without any."""
    height, width = mask.shape
    places = np.argwhere(mask > 127)
    if not len(places):
        return np.full(mask.shape, 10**6)
    rows, columns = np.mgrid[:height, :width]
    each = [np.maximum(abs(rows - row), abs(columns - column)) for row, column in places]
    return np.min(each, axis=0)


@pytest.mark.parametrize("record", [r for r in RECORDS.records if r.kind == "erode_dilate"], ids=lambda r: r.id)
def test_grown_and_shrunk_masks_are_the_recorded_ones(record):
    assert np.array_equal(grown(recorded_mask(), record.settings["k"]), record.picture("out"))


def test_the_soft_edge_is_the_recorded_one():
    assert np.array_equal(softened(recorded_mask()), RECORDS.record("soft_mask").picture("out"))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_soft_edge_falls_by_eight_levels_a_pixel(shape):
    mask = random_mask(shape)
    expected = np.clip(256 - 8 * distances(mask), 0, 255)  # image-inpaint.md §4
    assert np.array_equal(softened(mask), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("pixels", [1, 3])
def test_growing_takes_the_brightest_and_shrinking_the_darkest_of_the_square_around(shape, pixels):
    mask = random_mask(shape)
    padded = {fill: np.pad(mask, pixels, constant_values=fill) for fill in (0, 255)}  # what never wins
    side = 2 * pixels + 1
    for direction, fill, pick in ((1, 0, np.max), (-1, 255, np.min)):
        windows = np.lib.stride_tricks.sliding_window_view(padded[fill], (side, side))
        assert np.array_equal(grown(mask, direction * pixels), pick(windows, axis=(2, 3)))


def test_inverting_twice_is_nothing():
    mask = random_mask((20, 30))
    assert np.array_equal(inverted(inverted(mask)), mask)
    assert inverted(mask)[mask == 255].max(initial=0) == 0


def test_a_mask_of_the_pictures_size_keeps_dark_greys_of_its_first_channel_and_whitens_bright_pixels():
    colours = [(90, 0, 0), (0, 90, 90), (10, 200, 200), (127, 127, 127), (128, 128, 128), (255, 255, 255)]
    mask = Image.fromarray(np.array([colours], np.uint8))
    # Means: 30, 60, 136.7, 127, 128, 255; the third is whitened although its first channel is dark.
    assert repaint_mask(mask, (6, 1)).tolist() == [[90, 0, 255, 127, 255, 255]]


def test_a_mask_of_another_size_is_brought_to_the_pictures_in_black_and_white():
    mask = Image.new("RGB", (10, 8))
    mask.paste((255, 255, 255), (5, 0, 10, 8))
    result = repaint_mask(mask, (40, 16))
    assert result.shape == (16, 40)
    assert np.array_equal(result, np.repeat(np.array([[0, 255]], np.uint8), 20, axis=1).repeat(16, axis=0))


def test_only_black_and_white_are_left_of_any_mask():
    grey = Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 20, 3), np.uint8))
    assert set(np.unique(black_and_white(grey, (50, 70)))) == {0, 255}


@pytest.mark.parametrize(("side", "filled"), [(1, True), (19, True), (20, False), (30, False)])
def test_holes_of_less_than_400_pixels_are_filled(side, filled):
    found = np.zeros((60, 80), bool)
    found[5:55, 5:75] = True
    found[10 : 10 + side, 10 : 10 + side] = False
    whole = without_small_holes(found)
    assert whole[12, 12] == whole[10, 10] == filled
    assert not whole[0, 0] and not whole[59, 79]  # the background around is larger
    assert (whole >= found).all()


def test_diagonal_neighbours_are_one_hole():
    found = np.ones((60, 60), bool)
    found[10:25, 10:25] = found[25:40, 25:40] = False  # 225 pixels each, 450 together
    assert np.array_equal(without_small_holes(found), found)


@pytest.mark.parametrize("value", [True, False])
def test_what_is_all_one_stays_as_it_is(value):
    found = np.full((30, 30), value)
    assert np.array_equal(without_small_holes(found), found)
