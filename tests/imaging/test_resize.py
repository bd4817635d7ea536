"""Sizes and resampling against the numbers of image.md §1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from fooocus_engine.imaging.resize import (
    LATTICE,
    Fit,
    fitted_size,
    lattice_of,
    resampled,
    resampled_bands,
    resized,
    shape_ceil,
)
from fooocus_engine.models.companion import SIDES as NATIVE_SIDES

SIDES = st.integers(8, 70)
SIZES = st.tuples(SIDES, SIDES)


def noise(size: tuple[int, int]) -> Image.Image:
    """Black and white dots: the picture whose pixels depend most on the order of what is done."""
    dots = np.random.default_rng(0).integers(0, 2, (size[1], size[0], 3), np.uint8) * 255
    return Image.fromarray(dots)


def levels(one: Image.Image, other: Image.Image) -> np.ndarray:
    return np.abs(np.asarray(one, int) - np.asarray(other, int))


@pytest.mark.parametrize(
    ("height", "width", "shape"),
    [
        (512, 512, 512), (513, 512, 576), (1000, 1000, 1024), (1025, 1024, 1088), (896, 1152, 1024),
        (1080, 1920, 1472), (720, 1280, 960), (2160, 3840, 2880), (3000, 2000, 2496),
    ],
)  # fmt: skip
def test_the_shape_of_a_size_is_that_of_the_specification(height, width, shape):
    assert shape_ceil(width, height) == shape


@pytest.mark.parametrize(
    ("size", "shape", "fitted"),
    [
        ((512, 512), 1024, (1024, 1024)), ((1000, 1000), 1024, (1000, 1000)), ((300, 400), 1024, (832, 1152)),
        ((1080, 1920), 1024, (768, 1344)), ((768, 512), 1024, (1216, 832)), ((100, 700), 1024, (384, 2560)),
        ((720, 1280), 1024, (768, 1344)), ((3000, 2000), 2048, (2432, 1664)), ((4000, 1000), 2048, (4000, 1000)),
        ((2160, 3840), 2048, (1472, 2688)),
    ],
)  # fmt: skip
def test_the_fitted_size_is_that_of_the_specification(size, shape, fitted):
    """Height first, as the table has it; the arithmetic is the same for both sides."""
    assert fitted_size(size, shape) == fitted


@settings(deadline=None)
@given(st.tuples(st.integers(8, 65535), st.integers(8, 65535)), st.sampled_from([1024, 2048]))
def test_a_fitted_size_is_usable(size, shape):
    fitted = fitted_size(size, shape)
    assert fitted == size or all(side % LATTICE == 0 and side > 0 for side in fitted)


@pytest.mark.parametrize("size", [(42, 73), (123, 128), (24, 73), (200, 30)])
def test_rows_are_resampled_before_columns(size):
    image = noise((38, 134))
    expected = image.resize((size[0], 134), Image.Resampling.LANCZOS).resize(size, Image.Resampling.LANCZOS)
    assert levels(resampled(image, size), expected).max() == 0


@settings(deadline=None)
@given(SIZES, SIZES, st.integers(1, 9))
def test_bands_give_the_same_pixels_as_the_whole(own, size, height):
    image = noise(own)
    pixels = np.asarray(image)
    bands = (pixels[top : top + height] for top in range(0, own[1], height))
    assert levels(resampled_bands(bands, own, size), resampled(image, size)).max() == 0


@pytest.mark.parametrize(
    ("own", "size", "scaled", "offset"),
    [
        ((800, 600), (1024, 1024), (1365, 1024), (-170, 0)),
        ((600, 800), (1152, 896), (1152, 1536), (0, -320)),
        ((1920, 1080), (896, 1152), (2048, 1152), (-576, 0)),
        ((333, 777), (1024, 1024), (1024, 2389), (0, -682)),
    ],
)
def test_covering_is_that_of_the_specification(own, size, scaled, offset):
    image = noise(own)
    expected = Image.new("RGB", size)
    expected.paste(resampled(image, scaled), offset)
    found = levels(resized(image, size), expected)
    assert found.max() <= 2  # where a part begins is a float32 in Pillow, which rounds some dots otherwise
    assert (found > 0).mean() < 0.005


@settings(deadline=None)
@given(SIZES, SIZES, st.sampled_from(Fit))
@example((8, 65), (8, 8), Fit.CONTAIN)  # less than a line would be left of it
def test_every_fit_gives_the_size_and_keeps_one_colour(own, size, fit):
    made = resized(Image.new("RGB", own, (200, 100, 50)), size, fit)
    assert made.size == size
    assert made.getcolors() == [(size[0] * size[1], (200, 100, 50))]


def test_a_contained_picture_is_whole_and_its_bands_go_on_with_its_lines():
    image = Image.fromarray(np.repeat(np.arange(0, 240, 6, np.uint8)[:, None, None], 3, 2).repeat(20, 1))  # 20×40
    made = np.asarray(resized(image, (40, 41), Fit.CONTAIN))
    assert np.array_equal(made[:, 10:30], np.asarray(resampled(image, (20, 41))))
    assert np.array_equal(made[:, :10], made[:, 10:11].repeat(10, 1))
    assert np.array_equal(made[:, 30:], made[:, 29:30].repeat(10, 1))


@pytest.mark.parametrize("own", [(8, 60000), (60000, 8)])
def test_of_a_long_thin_picture_only_what_is_kept_is_scaled(own):
    assert resized(Image.new("RGB", own, (9, 9, 9)), (640, 640)).getcolors() == [(640 * 640, (9, 9, 9))]


def test_the_lattice_is_in_proportion_to_the_models_pictures_and_of_whole_latents():
    assert [lattice_of(side) for side in (64, 192, 256, 512, 768, 1024, 2048)] == [8, 8, 16, 32, 32, 64, 64]


@pytest.mark.parametrize("side", NATIVE_SIDES)
def test_squares_of_every_size_that_a_model_may_be_at_home_with_lie_on_its_lattice(side: int):
    assert fitted_size((side + 200, side + 200), side, lattice_of(side)) == (side, side)


@pytest.mark.parametrize("size", [(48, 32), (320, 240), (500, 100), (1920, 1080), (96, 64)])
def test_small_shapes_keep_a_pictures_ratio_on_their_own_lattice(size):
    width, height = fitted_size(size, 192, lattice_of(192))
    assert shape_ceil(width, height, 8) == 192
    assert width % 8 == height % 8 == 0
    assert width / height == pytest.approx(size[0] / size[1], rel=0.07)
