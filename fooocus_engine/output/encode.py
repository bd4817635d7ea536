"""Pictures to PNG, JPEG or WebP bytes with their metadata inside, and that metadata back out of a picture.

The text is opaque here: what it says is `metadata.py` and `recall.py`. Where each format keeps it is
image-metadata.md §4. Knows nothing of jobs, names or storage.
"""

from __future__ import annotations

import io
import json
import logging
import math
from dataclasses import dataclass
from typing import Any

from PIL import Image, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from fooocus_engine import __version__
from fooocus_engine.errors import BadImage, UnknownName

log = logging.getLogger(__name__)

MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}
LONGEST_SIDES = {"image/png": 2**31 - 1, "image/jpeg": 65_500, "image/webp": 16_383}  # pixels; what encoders take
SCHEMES = ("fooocus", "a1111")
WRITTEN_BY = f"Fooocus Engine v{__version__}"
"""The version text that is written beside the metadata."""
QUALITY = 95  # of JPEG and WebP
USER_COMMENT, SOFTWARE, MAKER_NOTE = 0x9286, 0x0131, 0x927C  # EXIF tags
EXIF_DIRECTORY = 0x8769  # where other tools keep the comment; this project writes the main directory
JPEG_EXIF_BYTES = 65_533  # a marker's length field has 16 bits and counts itself
UNICODE = b"UNICODE\0"  # EXIF 2.3 §4.6.5: charset prefix of a comment that is not ASCII
OTHER_CHARSETS = (b"ASCII\0\0\0", b"\0" * 8)


@dataclass(frozen=True)
class Embedded:
    """Metadata as a picture carries it. ``software`` is written to EXIF only and is not read back."""

    scheme: str
    text: str
    software: str = ""


def media_type(extension: str) -> str:
    """The media type of a save extension, in any case.

    Raises:
        UnknownName: no such extension.
    """
    try:
        return MEDIA_TYPES[extension.lower()]
    except KeyError:
        raise UnknownName("save extension", extension, MEDIA_TYPES, ("body", "save_extension")) from None


def longest_side(extension: str) -> int:
    """Pixels that a side of a picture in that format can have.

    Raises:
        UnknownName: no such extension.
    """
    return LONGEST_SIDES[media_type(extension)]


def encode(image: Image.Image, extension: str, embedded: Embedded | None = None) -> bytes:
    """``image`` (RGB) as a file of the format that the extension names; ``jpg`` and ``jpeg`` are one.

    A JPEG holds 64 kB of EXIF; a longer text is left out with a warning in the log.

    Raises:
        UnknownName: no such extension.
    """
    match media_type(extension):
        case "image/png":
            return _saved(image, "PNG", pnginfo=_png_chunks(embedded) if embedded else None)
        case "image/jpeg":
            exif = _exif(embedded)
            if len(exif) > JPEG_EXIF_BYTES:
                log.warning("metadata of %d bytes does not fit into a JPEG and is left out", len(exif))
                exif = b""
            return _saved(image, "JPEG", quality=QUALITY, optimize=True, progressive=True, exif=exif)
        case _:
            return _saved(image, "WEBP", quality=QUALITY, lossless=False, exif=_exif(embedded))


def small_png(image: Image.Image, most_bytes: int) -> bytes:
    """``image`` as a PNG of at most ``most_bytes``, some hundred at least: made smaller until it fits."""
    data = _saved(image, "PNG")
    while len(data) > most_bytes:
        scale = 0.95 * math.sqrt(most_bytes / len(data))
        size = max(1, int(image.width * scale)), max(1, int(image.height * scale))
        image = image.resize(size, Image.Resampling.BOX)
        data = _saved(image, "PNG")
    return data


def read_metadata(source: bytes | Image.Image) -> Embedded | None:
    """What ``encode`` or a tool of the same habits put into a picture; ``None`` if there is nothing.

    Raises:
        BadImage: bytes that are no picture.
    """
    if isinstance(source, Image.Image):
        return _read(source)
    try:
        with Image.open(io.BytesIO(source)) as image:
            return _read(image)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadImage(("body", "image"), "the data is not a picture that can be read") from error


def _saved(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def _png_chunks(embedded: Embedded) -> PngInfo:
    chunks = PngInfo()
    chunks.add_text("parameters", _encodable(embedded.text))  # tEXt if Latin-1 can hold it, else iTXt
    chunks.add_text("fooocus_scheme", embedded.scheme)
    return chunks


def _exif(embedded: Embedded | None) -> bytes:
    if embedded is None:
        return b""
    exif = Image.Exif()
    exif[USER_COMMENT] = _comment(_encodable(embedded.text))
    exif[SOFTWARE] = embedded.software
    exif[MAKER_NOTE] = embedded.scheme
    return exif.tobytes()


def _comment(text: str) -> str | bytes:
    """ASCII stays plain text; the rest gets the charset prefix and UTF-16, big-endian as other tools write it."""
    return text if text.isascii() else UNICODE + text.encode("utf-16-be")


def _encodable(text: str) -> str:
    """``text`` with a question mark for each half of a broken surrogate pair, which no encoding can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _read(image: Image.Image) -> Embedded | None:
    exif = image.getexif()
    written = image.info.get("parameters")
    if not isinstance(written, str):
        written = _decoded(exif.get(USER_COMMENT) or exif.get_ifd(EXIF_DIRECTORY).get(USER_COMMENT))
    if not written:
        return None
    scheme = image.info.get("fooocus_scheme") or _decoded(exif.get(MAKER_NOTE))
    return Embedded(scheme if scheme in SCHEMES else _guessed_scheme(written), written)


def _decoded(value: Any) -> str:
    match value:
        case str():
            return value.rstrip("\0")
        case bytes() if value.startswith(UNICODE):
            return _utf16(value.removeprefix(UNICODE))
        case bytes():
            body = value[8:] if value.startswith(OTHER_CHARSETS) else value
            return body.decode("utf-8", "replace").rstrip("\0")
        case _:
            return ""


def _utf16(data: bytes) -> str:
    """UTF-16 of either byte order: the byte that is mostly zero is the high one, as metadata is mostly ASCII."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    little = data[1::2].count(0) > data[0::2].count(0)
    return data.decode("utf-16-le" if little else "utf-16-be", "replace")


def _guessed_scheme(written: str) -> str:
    try:
        return "fooocus" if isinstance(json.loads(written), dict) else "a1111"
    except (ValueError, RecursionError):
        return "a1111"
