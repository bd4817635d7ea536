"""Pictures as files, and what they carry."""

import io

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.errors import BadImage, UnknownName
from fooocus_engine.output.encode import Embedded, encode, media_type, read_metadata, small_png

EXTENSIONS = ("png", "jpg", "jpeg", "webp", "PNG")
SOFTWARE = "Engine v1"
TEXTS = {
    "ascii": 'a cat, "red"\nNegative prompt: dog\nSteps: 1, Seed: 2, Size: 8x8',
    "latin": "ein Kätzchen\nSteps: 1, Seed: 2, Size: 8x8",
    "wide": "猫 😀 ß\nSteps: 1, Seed: 2, Size: 8x8",
    "only wide": "猫" * 40,
}


def picture():
    return Image.fromarray(np.arange(24 * 16 * 3, dtype=np.uint8).reshape(16, 24, 3))


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("scheme", ["fooocus", "a1111"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_metadata_comes_back_from_every_format(extension, scheme, text):
    found = read_metadata(encode(picture(), extension, Embedded(scheme, text, SOFTWARE)))
    assert found == Embedded(scheme, text)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_picture_without_metadata_carries_none(extension):
    assert read_metadata(encode(picture(), extension)) is None


@pytest.mark.parametrize(("extension", "form"), [("png", "PNG"), ("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_extension_decides_the_format(extension, form):
    assert opened(encode(picture(), extension)).format == form


def test_png_keeps_every_pixel_and_jpeg_is_progressive():
    assert np.array_equal(np.array(opened(encode(picture(), "png"))), np.array(picture()))
    assert opened(encode(picture(), "jpg")).info["progressive"]


def test_jpg_and_jpeg_are_the_same_file():
    embedded = Embedded("fooocus", "{}", SOFTWARE)
    assert encode(picture(), "jpg", embedded) == encode(picture(), "jpeg", embedded)


def test_png_chunks_and_exif_tags_are_those_of_the_reference():
    embedded = Embedded("fooocus", '{"a": 1}', SOFTWARE)
    info = opened(encode(picture(), "png", embedded)).info
    exif = opened(encode(picture(), "webp", embedded)).getexif()
    assert (info["parameters"], info["fooocus_scheme"]) == ('{"a": 1}', "fooocus")
    assert dict(exif) == {0x9286: '{"a": 1}', 0x0131: SOFTWARE, 0x927C: "fooocus"}


def test_non_ascii_comment_has_the_unicode_prefix():
    exif = opened(encode(picture(), "jpg", Embedded("a1111", "ä", SOFTWARE))).getexif()
    assert exif[0x9286] == b"UNICODE\0" + "ä".encode("utf-16-be")


@pytest.mark.parametrize("order", ["utf-16-le", "utf-16-be", "utf-16"])
def test_comment_of_either_byte_order_is_read(order):
    exif = Image.Exif()
    exif[0x9286] = b"UNICODE\0" + TEXTS["wide"].encode(order)
    image = picture()
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", exif=exif)
    assert read_metadata(buffer.getvalue()) == Embedded("a1111", TEXTS["wide"])


@pytest.mark.parametrize("comment", [b"ASCII\0\0\0hello", b"\0\0\0\0\0\0\0\0hello", b"hello"])
def test_comment_in_the_exif_directory_of_other_tools_is_read(comment):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = comment
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG", exif=exif)
    assert read_metadata(buffer.getvalue()) == Embedded("a1111", "hello")


@pytest.mark.parametrize(("text", "scheme"), [('{"prompt": ""}', "fooocus"), ("a cat", "a1111"), ("[1]", "a1111")])
def test_scheme_is_guessed_when_the_picture_does_not_say(text, scheme):
    image = picture()
    image.info["parameters"] = text
    assert read_metadata(image) == Embedded(scheme, text)


def test_half_a_surrogate_pair_becomes_a_question_mark():
    found = read_metadata(encode(picture(), "png", Embedded("a1111", "a \ud800 b", SOFTWARE)))
    assert found == Embedded("a1111", "a ? b")


def noisy(width, height):
    """What no format can pack."""
    return Image.fromarray(np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("size", [(512, 512), (2000, 40), (317, 500)])
def test_a_png_over_its_limit_is_made_smaller_until_it_fits(size):
    data = small_png(noisy(*size), 40_000)
    made = opened(data)
    assert 20_000 < len(data) <= 40_000
    assert made.format == "PNG"
    assert made.width / made.height == pytest.approx(size[0] / size[1], rel=0.2)  # whole pixels: 14 of them at least


def test_a_png_within_its_limit_keeps_every_pixel():
    image = noisy(100, 100)
    assert np.array_equal(np.array(opened(small_png(image, 31_000))), np.array(image))


def test_metadata_too_long_for_a_jpeg_is_left_out_and_logged(caplog):
    data = encode(picture(), "jpg", Embedded("a1111", "x" * 70_000, SOFTWARE))
    assert read_metadata(data) is None
    assert "does not fit" in caplog.text


def test_media_types_are_the_registered_ones():
    assert [media_type(extension) for extension in EXTENSIONS] == [
        "image/png",
        "image/jpeg",
        "image/jpeg",
        "image/webp",
        "image/png",
    ]


def test_unknown_extension_is_refused_with_the_known_ones():
    with pytest.raises(UnknownName, match="png, jpg, jpeg, webp"):
        encode(picture(), "zzz")


@pytest.mark.parametrize("data", [b"", b"not a picture", encode(picture(), "png")[:40]])
def test_bytes_that_are_no_picture_are_refused(data):
    with pytest.raises(BadImage):
        read_metadata(data)
