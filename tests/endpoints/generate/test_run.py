"""Pictures of requests as the conductor takes them in: odd ones are read right, broken ones refused at their field."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.endpoints.generate.contract import GenerateRequest, validate_generation
from fooocus_engine.endpoints.generate.inpaint_outpaint import InpaintRequest
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.run import sources_of
from fooocus_engine.endpoints.generate.upscale_vary import UpscaleVaryRequest
from fooocus_engine.errors import BadImage
from fooocus_engine.guarded_http import GuardedHttp
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import Settings
from fooocus_engine.types import Sources
from tests.endpoints.asking import STYLES
from tests.pictures import BLUE, RED, animated, announced, encoded, held, plain, png, text_of, textured, tiled_tiff

SIZE = (40, 24)
WHITE = (255, 255, 255)
GIVEN = textured(SIZE)
PNG = encoded(GIVEN)
HOLES = plain(SIZE, (*RED, 255), "RGBA")
HOLES.paste((0, 0, 0, 0), (20, 0, 40, 24))
ODD = {  # what is sent, and the colours of its upper left and its lower right corner
    "with holes": (encoded(HOLES), RED, WHITE),
    "grey": (encoded(plain(SIZE, 70, "L")), (70,) * 3, (70,) * 3),
    "grey with holes": (encoded(plain(SIZE, (70, 0), "LA")), WHITE, WHITE),
    "palette": (encoded(plain(SIZE, BLUE).convert("P", palette=Image.Palette.ADAPTIVE)), BLUE, BLUE),
    "one bit": (encoded(plain(SIZE, 1, "1")), WHITE, WHITE),
    "16 bits": (encoded(plain(SIZE, 0x8040, "I;16")), (0x80,) * 3, (0x80,) * 3),
    "CMYK": (encoded(plain(SIZE, (0, 255, 255, 0), "CMYK"), "TIFF"), RED, RED),
    "turned": (held(3, "PNG"), BLUE, RED),
    "animated": (animated("GIF"), RED, RED),
}
BROKEN = {
    "one pixel": encoded(plain((1, 1))),
    "a thread": encoded(plain((1, 4000))),
    "a thread lying down": encoded(plain((4000, 1))),
    "a side too long": announced(65536, 8),
    "too many pixels": announced(8001, 8000),
    "a large header": announced(60000, 60000),
    "the largest header": announced(2**31 - 1, 2**31 - 1),
    "tiles too large": tiled_tiff(16384),
    "no rows": png(40, 24, b""),
    "cut off": PNG[: len(PNG) // 2],
    "cut off behind the signature": PNG[:8],
    "a JPEG cut off": encoded(GIVEN.resize((400, 300)), "JPEG")[:900],
    "a WebP cut off": encoded(GIVEN.resize((400, 300)), "WEBP")[:300],
    "turned bits": PNG[:60] + bytes(255 - byte for byte in PNG[60:]),
    "another type": b"%PDF-1.7 no picture",
    "a drawing": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "words": b"no picture",
    "floats": encoded(plain(SIZE, 0.5, "F"), "TIFF"),
}


def asked(model: type[GenerateRequest], **fields: Any) -> GenerateRequest:
    return validate_generation(
        {"input_image": text_of(PNG), "image_seed": 5, "style_selections": [], **fields},
        model,
        default_preset=preset_named("starter"),
        styles=STYLES,
        limits=Settings(),
    )


def repaint(**fields: Any) -> Sources:
    return sources_of(asked(InpaintRequest, **fields), GuardedHttp(Guard()))


def whitened(mask: Image.Image, **advanced: Any) -> np.ndarray:
    """The mask that an inpaint makes of a client's."""
    made = repaint(input_mask=text_of(encoded(mask)), advanced_params=advanced)
    assert made.mask is not None and made.image is not None and made.image.size == SIZE
    return np.asarray(made.mask)


@pytest.mark.parametrize("model", [UpscaleVaryRequest, InpaintRequest])
@pytest.mark.parametrize(("data", "first", "last"), ODD.values(), ids=ODD)
def test_an_odd_picture_is_read_in_rgb(model, data, first, last):
    image = sources_of(asked(model, input_image=text_of(data)), GuardedHttp(Guard())).image
    assert image is not None and (image.mode, image.size) == ("RGB", SIZE)
    assert (image.getpixel((0, 0)), image.getpixel((39, 23))) == (first, last)


@pytest.mark.parametrize(
    ("model", "field"),
    [(UpscaleVaryRequest, "input_image"), (InpaintRequest, "input_image"), (InpaintRequest, "input_mask")],
)
@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_a_broken_picture_is_refused_at_its_field(model, field, data):
    with pytest.raises(BadImage) as refused:
        sources_of(asked(model, **{field: text_of(data)}), GuardedHttp(Guard()))
    (problem,) = refused.value.problems
    assert (problem.type, problem.loc) == ("image_decode_error", ("body", field))


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (plain(SIZE, 0, "L"), 0),
        (plain(SIZE, 255, "L"), 255),
        (plain((8, 900), 255, "L"), 255),
        (plain((900, 700), 0, "1"), 0),
        (plain(SIZE, 1, "1"), 255),
        (plain(SIZE, (0, 0, 0, 0), "RGBA"), 255),  # what shines through is white: repaint
        (plain(SIZE, 128, "L"), 255),
        (plain(SIZE, 127, "L"), 127),  # counts for the box, is not repainted
        (plain((20, 12), 127, "L"), 0),
        (plain(SIZE, RED), 255),  # by its first channel
        (plain(SIZE, BLUE), 0),
    ],
)
def test_a_mask_of_one_colour_means_what_is_specified_whatever_its_size(mask, expected):
    assert set(np.unique(whitened(mask))) == {expected}
    assert set(np.unique(whitened(mask, invert_mask_checkbox=True))) == {255 - expected}


def test_holes_of_a_mask_are_repainted():
    black = plain(SIZE, (0, 0, 0, 255), "RGBA")
    black.paste((0, 0, 0, 0), (20, 0, 40, 24))
    assert np.array_equal(whitened(black) == 255, np.tile(np.arange(40) >= 20, (24, 1)))


def test_words_alone_come_without_pictures():
    request = validate_generation(
        {"prompt": "a cat"}, GenerateRequest, default_preset=preset_named("starter"), styles=STYLES, limits=Settings()
    )
    assert sources_of(request, GuardedHttp(Guard())) == Sources()
