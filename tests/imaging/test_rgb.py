"""Every kind of pixels as RGB."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.imaging import rgb
from fooocus_engine.imaging.rgb import UnsupportedMode, as_rgb

RED = (255, 0, 0)


def one_colour(image: Image.Image) -> tuple[int, ...]:
    made = as_rgb(image)
    assert made.mode == "RGB"
    assert made.size == image.size
    ((_, colour),) = made.getcolors()
    return colour


def saved(image: Image.Image, form: str, **options: object) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return Image.open(buffer)


def palette(**info: object) -> Image.Image:
    image = Image.new("P", (9, 8), 1)
    image.putpalette([0, 0, 0, *RED])
    image.info |= info
    return image


def sixteen(value: int) -> Image.Image:
    return Image.fromarray(np.full((8, 9), value, np.uint16))


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("RGB", (9, 8), RED), RED),
        (Image.new("1", (9, 8), 1), (255, 255, 255)),
        (Image.new("L", (9, 8), 77), (77, 77, 77)),
        (Image.new("LA", (9, 8), (0, 51)), (204, 204, 204)),
        (Image.new("RGBA", (9, 8), (*RED, 255)), RED),
        (Image.new("RGBA", (9, 8), (*RED, 0)), (255, 255, 255)),
        (Image.new("RGBA", (9, 8), (*RED, 51)), (255, 204, 204)),
        (Image.new("RGBA", (9, 8), (10, 20, 30, 100)), (158, 162, 166)),  # 158.92, 162.84, 166.76: cut off
        (palette(), RED),
        (palette(transparency=1), (255, 255, 255)),
        (palette(transparency=b"\xff\x33"), (255, 204, 204)),
        (Image.new("CMYK", (9, 8), (0, 255, 255, 0)), RED),
        (Image.new("YCbCr", (9, 8), (77, 128, 128)), (77, 77, 77)),
        (sixteen(0x12FF), (0x12, 0x12, 0x12)),
        (sixteen(0xFFFF), (255, 255, 255)),
    ],
)
def test_a_kind_of_pixels_becomes_its_colour(image, colour):
    assert one_colour(image) == colour


def test_a_colour_that_stands_for_transparency_is_laid_over_white():
    assert one_colour(saved(Image.new("RGB", (9, 8), RED), "PNG", transparency=RED)) == (255, 255, 255)
    assert one_colour(saved(Image.new("L", (9, 8), 7), "PNG", transparency=7)) == (255, 255, 255)
    assert one_colour(saved(Image.new("L", (9, 8), 7), "PNG", transparency=8)) == (7, 7, 7)
    deep = saved(sixteen(0x0107), "PNG", transparency=0x0107)
    assert deep.mode == "I;16"
    assert one_colour(deep) == (255, 255, 255)
    assert one_colour(saved(sixteen(0x0107), "PNG", transparency=0x0108)) == (1, 1, 1)


@pytest.mark.parametrize("mode", ["F", "I"])
def test_pixels_without_a_range_are_refused(mode):
    with pytest.raises(UnsupportedMode, match="32 bits"):
        as_rgb(Image.new(mode, (9, 8)))


def test_a_picture_of_several_bands_is_laid_over_white_as_one():
    pixels = np.random.default_rng(0).integers(0, 256, (30, rgb.BAND_PIXELS // 8, 4), np.uint8)
    whole = np.asarray(as_rgb(Image.fromarray(pixels)))
    part = np.asarray(as_rgb(Image.fromarray(pixels[7:9])))
    assert np.array_equal(whole[7:9], part)


def test_the_given_picture_stays_as_it_is():
    image = Image.new("RGBA", (9, 8), (*RED, 51))
    as_rgb(image)
    assert image.getcolors() == [(72, (*RED, 51))]
