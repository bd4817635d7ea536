"""Pictures of any mode as RGB with 8 bits a channel, what shines through them white (image.md §1, HWC3; §2)."""

from __future__ import annotations

import numpy as np
from PIL import Image

BAND_PIXELS = 1_000_000  # computed at a time; bounds the memory of the arithmetic
HIGH_BYTE = 8  # bits of a 16-bit value that are dropped, as in 16-bit colour pictures


class UnsupportedMode(ValueError):
    """A kind of pixels that has no defined range."""


def as_rgb(image: Image.Image) -> Image.Image:
    """``image`` in RGB: grey three times, palettes looked up, 16 bits cut to 8, transparency laid over white.

    Raises:
        UnsupportedMode: floating-point or 32-bit pixels.
    """
    if image.mode in ("F", "I"):
        raise UnsupportedMode("has 32 bits a channel; 8 and 16 can be read")
    if image.mode.startswith("I;16"):
        image = _eight_bits(image)
    if image.has_transparency_data:
        return _over_white(image.convert("RGBA"))
    return image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    grey = Image.fromarray((np.asarray(image) >> HIGH_BYTE).astype(np.uint8))
    if (transparent := image.info.get("transparency")) is not None:
        grey.putalpha(Image.fromarray(np.where(np.asarray(image) == transparent, 0, 255).astype(np.uint8)))
    return grey


def _over_white(image: Image.Image) -> Image.Image:
    made = Image.new("RGB", image.size)
    height = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, height):
        band = np.asarray(image.crop((0, top, image.width, min(top + height, image.height))), np.float32)
        colour, alpha = band[..., :3], band[..., 3:] / np.float32(255)
        flat = np.clip(colour * alpha + 255 * (1 - alpha), 0, 255).astype(np.uint8)
        made.paste(Image.fromarray(flat), (0, top))
    return made
