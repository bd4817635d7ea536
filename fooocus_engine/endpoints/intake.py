"""Pictures of a request → Pillow: base64, data URL or http(s) address, decoded to RGB (api.md §2.5). No torch.

Takes the text that a field holds and where it stood, so that every refusal names its field. What a header announces is
judged before a pixel is decoded. Knows no endpoint.
"""

from __future__ import annotations

import base64
import io
import logging
import math
from collections.abc import Callable

from PIL import Image
from PIL.TiffImagePlugin import TILELENGTH, TILEWIDTH, TiffImageFile

from fooocus_engine.errors import BadImage, Location
from fooocus_engine.guarded_http import GuardedHttp, TargetFailed, TargetRefused
from fooocus_engine.imaging.orientation import orientation, upright
from fooocus_engine.imaging.rgb import UnsupportedMode, as_rgb

MAX_BYTES = 20_000_000  # of a file (api.md §2.5)
MAX_PIXELS = 64_000_000
AT_MOST = f"at most {MAX_PIXELS // 10**6} megapixels are allowed"
MIN_SIDE, MAX_SIDE = 8, 65_535  # the latter is JPEG's own; it bounds what long thin pictures cost (decision 0025)
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
"""Pillow's names. Its other readers start programs (EPS), are vectors, or take any bytes for a picture (TGA)."""
READABLE = "PNG, JPEG, WebP, GIF, BMP, TIFF, PNM, JPEG 2000 and AVIF can be read"
TIFF_TILE = (TILEWIDTH, TILELENGTH)
URL_SAFE = str.maketrans("-_", "+/")

logger = logging.getLogger(__name__)


def take_in(given: str, loc: Location, http: GuardedHttp) -> Image.Image:
    """The picture that ``given`` is or leads to, in RGB: oriented, of several frames the first, white behind it.

    Raises:
        BadImage: it cannot be fetched or decoded, or is too large or too small; names ``loc``.
    """
    return opened(bytes_of(given, loc, http), loc)


def bytes_of(given: str, loc: Location, http: GuardedHttp) -> bytes:
    """The file that ``given`` is or leads to.

    Raises:
        BadImage: it cannot be fetched, or is no base64, or is too large; names ``loc``.
    """
    given = given.strip()
    if given[:8].lower().startswith(("http://", "https://")):
        return _fetched(given, loc, http)
    if given[:5].lower() == "data:":
        return _decoded(_payload(given, loc), loc)
    return _decoded(given, loc)


def opened(data: bytes, loc: Location) -> Image.Image:
    """The picture in the bytes of a file, as of ``take_in``.

    Raises:
        BadImage: as of ``take_in``.
    """
    with announced(data, loc) as image:
        return _read(lambda: _pixels(image), loc, "is damaged or cut off")


def announced(data: bytes, loc: Location) -> Image.Image:
    """The picture in the bytes of a file as its header announces it; its pixels are still to be read.

    Raises:
        BadImage: it is no picture, or is too large or too small.
    """
    if len(data) > MAX_BYTES:
        raise BadImage(loc, f"has {len(data)} bytes; at most {MAX_BYTES} are allowed")
    image = _read(
        lambda: Image.open(io.BytesIO(data), formats=FORMATS), loc, f"is no picture that can be read; {READABLE}"
    )
    _check_size(image, loc)
    return image


def _fetched(url: str, loc: Location, http: GuardedHttp) -> bytes:
    try:
        return http.get(url)
    except (TargetRefused, TargetFailed) as error:
        raise BadImage(loc, f"cannot be fetched: {error.message}", fetched=True) from error


def _payload(url: str, loc: Location) -> str:
    header, comma, payload = url.partition(",")
    if not comma or not header.lower().endswith(";base64"):
        raise BadImage(loc, "is a data URL without base64; write data:image/png;base64,…")
    return payload


def _decoded(text: str, loc: Location) -> bytes:
    """Bytes of base64 in either alphabet, padded or not, broken into lines or not."""
    plain = "".join(text.split()).rstrip("=")
    if len(plain) * 3 // 4 > MAX_BYTES:
        raise BadImage(loc, f"has {len(plain) * 3 // 4} bytes; at most {MAX_BYTES} are allowed")
    try:
        return base64.b64decode(plain.translate(URL_SAFE) + "=" * (-len(plain) % 4), validate=True)
    except ValueError as error:
        raise BadImage(loc, "is neither base64, nor a data URL, nor an http or https address") from error


def _check_size(image: Image.Image, loc: Location) -> None:
    """What the header announces: the picture, and the tiles that a TIFF is read by, which can be larger."""
    width, height = image.size
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_SIDE:
        raise BadImage(loc, f"is {width}x{height} pixels; each side must have from {MIN_SIDE} to {MAX_SIDE}")
    if width * height > MAX_PIXELS:
        raise BadImage(loc, f"is {width}x{height} pixels; {AT_MOST}")
    if isinstance(image, TiffImageFile) and math.prod(image.tag_v2.get(tag, 1) for tag in TIFF_TILE) > MAX_PIXELS:
        raise BadImage(loc, f"has tiles that are too large; {AT_MOST}")


def _pixels(image: Image.Image) -> Image.Image:
    image.load()
    return upright(as_rgb(image), orientation(image))


def _read(read: Callable[[], Image.Image], loc: Location, reason: str) -> Image.Image:
    """What ``read`` gives. Pillow's readers raise whatever their parsers stumble over: all of it is a bad picture."""
    try:
        return read()
    except UnsupportedMode as error:
        raise BadImage(loc, str(error)) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImage(loc, f"is too large; {AT_MOST}") from error
    except Exception as error:
        logger.info("a picture at %s: %s: %s", loc, type(error).__name__, error)
        raise BadImage(loc, reason) from error
