"""The pictures that the examples of the API name, drawn: a size, a mode and a format each, no two alike."""

from __future__ import annotations

import base64
import io
from functools import cache

from PIL import Image, ImageDraw

SHAPES = {
    "bear": ("RGB", (512, 512), "JPEG"),
    "room": ("RGB", (640, 512), "JPEG"),
    "mask": ("L", (640, 512), "PNG"),
    "face": ("RGB", (384, 512), "PNG"),
    "style": ("RGB", (512, 512), "PNG"),
    "logo": ("RGBA", (256, 256), "PNG"),
}


@cache
def picture(name: str) -> bytes:
    """The file of that name."""
    mode, size, form = SHAPES[name]
    image = Image.new(mode, size)
    if name == "mask":
        ImageDraw.Draw(image).rectangle((200, 150, 420, 380), fill=255)
    else:
        shade = 40 * (1 + list(SHAPES).index(name))
        ImageDraw.Draw(image).ellipse((20, 20, size[0] - 20, size[1] - 20), fill=(shade, 200 - shade // 2, 90))
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


def base64_of(name: str) -> str:
    return base64.b64encode(picture(name)).decode()


def media_of(name: str) -> str:
    return f"image/{SHAPES[name][2].lower()}"


def file_name(name: str) -> str:
    return f"{name}.{SHAPES[name][2].lower()}"


def tiny(extension: str = "PNG", color: str = "teal") -> bytes:
    """A picture of 16×16 pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), color).save(buffer, extension)
    return buffer.getvalue()
