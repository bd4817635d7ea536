"""Picture files for tests, sound and broken ones, made on the spot."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

RED, BLUE = (255, 0, 0), (0, 0, 255)


def plain(size: tuple[int, int] = (40, 24), colour: Any = RED, mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """``image`` as the bytes of a file."""
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def text_of(data: bytes) -> str:
    """``data`` in base64."""
    return base64.b64encode(data).decode()


def data_url(data: bytes, media: str = "image/png") -> str:
    return f"data:{media};base64,{text_of(data)}"


def half(left: Any = RED, right: Any = BLUE, size: tuple[int, int] = (40, 24)) -> Image.Image:
    """Of two colours side by side, so that a turn shows."""
    image = plain(size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def held(orientation: int, form: str = "JPEG") -> bytes:
    """``half`` with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(half(), form, exif=exif, **({"quality": 95, "subsampling": 0} if form == "JPEG" else {}))


def animated(form: str) -> bytes:
    """Two frames, the first of them red."""
    return encoded(plain(), form, save_all=True, append_images=[plain(colour=BLUE)], duration=50, loop=0)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, *, channels: int = 3, exif: bytes = b"") -> bytes:
    """A PNG of that size, its compressed ``data`` taken as they are."""
    header = struct.pack(">IIBBBBB", width, height, 8, {3: 2, 4: 6}[channels], 0, 0, 0)
    said = chunk(b"eXIf", exif) if exif else b""
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + said + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def announced(width: int, height: int) -> bytes:
    """A PNG whose header promises much and whose data hold nothing."""
    return png(width, height, zlib.compress(b""))


def see_through(width: int, height: int) -> bytes:
    """A PNG of one transparent colour that was held on its side, made without having its pixels."""
    packer, row = zlib.compressobj(1), b"\0" + bytes((*RED, 128)) * width
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    exif = Image.Exif()
    exif[0x0112] = 6
    return png(width, height, data, channels=4, exif=exif.tobytes().removeprefix(b"Exif\0\0"))


def tiled_tiff(side: int) -> bytes:
    """A TIFF of 16×16 pixels, in deflated tiles that announce ``side`` pixels a side."""
    fields = (
        (256, 16), (257, 16), (258, 8), (259, 8), (262, 1), (277, 1), (322, side), (323, side), (324, 200), (325, 60),
    )  # fmt: skip
    rows = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + rows + bytes(300)


def textured(size: tuple[int, int], seed: int = 0) -> Image.Image:
    """Soft colours that differ everywhere."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
