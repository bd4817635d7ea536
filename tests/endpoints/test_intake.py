"""Pictures of requests: every form they come in, and everything that can be wrong with them."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.endpoints.intake import MAX_BYTES, opened, take_in
from fooocus_engine.errors import BadImage, reply_fields
from fooocus_engine.guarded_http import GuardedHttp
from fooocus_engine.public_hosts import Guard
from tests.pictures import (
    BLUE,
    RED,
    animated,
    announced,
    data_url,
    encoded,
    held,
    plain,
    text_of,
    textured,
    tiled_tiff,
)
from tests.web import Web, served, unused_port

LOC = ("body", "input_image")
HERE = GuardedHttp(Guard(private=(ip_network("127.0.0.1/32"),)), timeout_s=60)
PNG = encoded(plain())


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with served() as web:
        yield web


def refusal(given: str, http: GuardedHttp = HERE) -> tuple[str, str]:
    """Type and message of the problem; it names the field."""
    with pytest.raises(BadImage) as refused:
        take_in(given, LOC, http)
    (problem,) = reply_fields(refused.value)["detail"]
    assert problem["loc"] == list(LOC)
    assert problem["input"] is None
    return problem["type"], problem["msg"]


def corners(image: Image.Image) -> list[tuple[int, ...]]:
    """Colours of the four corners, clockwise from the top left."""
    right, bottom = image.width - 1, image.height - 1
    return [image.getpixel(place) for place in ((0, 0), (right, 0), (right, bottom), (0, bottom))]


@pytest.mark.parametrize(
    "given",
    [
        text_of(PNG),
        text_of(PNG).rstrip("="),
        "\n".join([text_of(PNG)[:40], text_of(PNG)[40:]]) + "\n",
        base64.urlsafe_b64encode(encoded(textured((40, 24)))).decode(),
        data_url(PNG),
        f" {data_url(PNG)}\n",
        data_url(PNG, "application/octet-stream"),
        data_url(PNG).replace("data:image/png", "DATA:image/PNG"),
    ],
    ids=["base64", "unpadded", "lines", "url-safe", "data-url", "blanks", "octets", "upper-case"],
)
def test_text_that_holds_a_picture_is_decoded(given):
    image = take_in(given, LOC, GuardedHttp())
    assert (image.mode, image.size) == ("RGB", (40, 24))


def test_an_address_is_fetched(web):
    image = take_in(web.gives("/a.png", PNG, Content_Type="text/plain"), LOC, HERE)
    assert corners(image) == [RED] * 4
    moved = web.redirects("/moved", "/a.png")
    assert take_in(moved.replace("http:", "HTTP:"), LOC, HERE).size == (40, 24)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF"])
def test_every_promised_format_is_read(form):
    image = opened(encoded(textured((40, 24)), form), LOC)
    assert (image.mode, image.size) == ("RGB", (40, 24))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF", "MPO"])
def test_of_an_animation_the_first_frame_is_taken(form):
    red, _, blue = np.asarray(opened(animated(form), LOC), int).reshape(-1, 3).mean(0)
    assert red > 200 > 50 > blue


@pytest.mark.parametrize(
    ("orientation", "seen"),
    [
        (1, [RED, BLUE, BLUE, RED]), (2, [BLUE, RED, RED, BLUE]), (3, [BLUE, RED, RED, BLUE]),
        (4, [RED, BLUE, BLUE, RED]), (5, [RED, RED, BLUE, BLUE]), (6, [RED, RED, BLUE, BLUE]),
        (7, [BLUE, BLUE, RED, RED]), (8, [BLUE, BLUE, RED, RED]), (9, [RED, BLUE, BLUE, RED]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_picture_stands_as_its_camera_was_held(orientation, seen, form):
    image = opened(held(orientation, form), LOC)
    assert image.size == ((24, 40) if orientation in (5, 6, 7, 8) else (40, 24))
    assert np.abs(np.subtract(corners(image), seen)).max() < 20  # what JPEG and WebP lose


def test_a_turn_is_kept_with_every_kind_of_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = [plain(mode=mode, colour=0) for mode in ("L", "P", "1", "I;16")] + [plain(mode="RGBA", colour=(*RED, 9))]
    assert [opened(encoded(image, exif=exif), LOC).size for image in kinds] == [(24, 40)] * 5


def test_a_broken_exif_does_not_spoil_the_pixels():
    good = held(6)
    broken = good.replace(b"Exif\0\0II*\0", b"Exif\0\0XX*\0").replace(b"Exif\0\0MM\0*", b"Exif\0\0XX\0*")
    assert broken != good
    assert opened(broken, LOC).size == (40, 24)


def test_what_shines_through_is_white():
    image = plain(mode="RGBA", colour=(*RED, 255))
    image.paste((0, 0, 0, 0), (20, 0, 40, 24))
    assert corners(opened(encoded(image), LOC)) == [RED, (255, 255, 255), (255, 255, 255), RED]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no picture"),
        (b"plain words", "no picture"),
        (b"%PDF-1.7 nothing", "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
        (bytes(64), "no picture"),
        (PNG[:8], "no picture"),
        (PNG[:60], "damaged or cut off"),
        (encoded(textured((400, 300)), "JPEG")[:900], "damaged or cut off"),
        (encoded(textured((400, 300)), "WEBP")[:500], "damaged or cut off|no picture"),
        (PNG.replace(b"IDAT", b"IDAX"), "no picture"),
        (encoded(plain((1, 1))), r"1x1 pixels; each side must have from 8 to 65535"),
        (encoded(plain((1, 4000))), "1x4000"),
        (encoded(plain((7, 100))), "7x100"),
        (announced(65536, 8), "65536x8"),
        (announced(8001, 8000), "8001x8000 pixels; at most 64 megapixels"),
        (announced(20000, 20000), "64 megapixels"),
        (announced(2**31 - 1, 2**31 - 1), "64 megapixels"),
        (tiled_tiff(16384), "tiles that are too large"),
        (encoded(plain(mode="F", colour=0.5), "TIFF"), "32 bits"),
        (encoded(plain(mode="I", colour=70000), "TIFF"), "32 bits"),
    ],
)
def test_a_file_that_is_no_sound_picture_is_told(data, reason):
    with pytest.raises(BadImage, match=reason):
        opened(data, LOC)
    assert refusal(text_of(data))[0] == "image_decode_error"


def test_a_header_is_judged_before_anything_is_decoded():
    whole = announced(8000, 8000)  # as large as allowed, so that it comes to be decoded
    with pytest.raises(BadImage, match="damaged or cut off"):
        opened(whole, LOC)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("no base64 at all!", "neither base64"),
        ("grün", "neither base64"),
        ("abcde", "neither base64"),
        ("/etc/passwd", "neither base64|no picture"),
        ("file:///etc/passwd", "neither base64"),
        ("ftp://example.org/a.png", "neither base64"),
        ("data:image/png,%89PNG", "without base64"),
        ("data:image/png;base64", "without base64"),
        ("data:image/png;base64,", "no picture"),
    ],
)
def test_text_that_holds_no_picture_is_told(given, reason):
    kind, message = refusal(given)
    assert kind == "image_decode_error"
    assert any(part in message for part in reason.split("|"))


def test_a_file_may_be_as_large_as_allowed_and_no_larger():
    whole = PNG.ljust(MAX_BYTES, b"\0")
    assert take_in(text_of(whole), LOC, HERE).size == (40, 24)
    assert refusal(text_of(whole + b"\0"))[1] == "has 20000001 bytes; at most 20000000 are allowed"
    with pytest.raises(BadImage, match="at most 20000000"):
        opened(whole + b"\0", LOC)


def test_an_address_that_gives_no_picture_is_told(web):
    assert refusal(web.url("/nowhere")) == ("image_fetch_error", "cannot be fetched: the answer has status 404")
    assert refusal(web.gives("/page", b"<html>"))[0] == "image_decode_error"
    assert refusal(f"http://127.0.0.1:{unused_port()}/a.png")[0] == "image_fetch_error"
    assert "not public" in refusal(web.url("/a.png"), GuardedHttp())[1]
    assert "larger than 10 bytes" in refusal(web.gives("/a.png", PNG), replace(HERE, max_bytes=10))[1]


def test_a_refusal_does_not_repeat_an_address(web):
    assert "secret" not in refusal(web.url("/picture?token=secret"))[1]
