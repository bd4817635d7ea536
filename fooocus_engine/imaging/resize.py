"""Sizes that pictures are brought to, and how (image.md §1). Pictures are of Pillow; sizes are (width, height) in px.

Knows no request and no network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fooocus_engine.types import PIXELS_PER_LATENT

FULL_SIDE, LATTICE = 1024, 64  # of SDXL's pictures; pixels that the sides of a fitted size are multiples of
ROUNDS = 256  # after which the search for a fitted size ends
SAME_SHAPE = 0.1  # difference of two shapes that is none
LANCZOS = Image.Resampling.LANCZOS

Size = tuple[int, int]
Pixels = NDArray[np.uint8]


class Fit(Enum):
    """What becomes of a picture whose sides have another ratio than those asked for."""

    STRETCH = auto()
    """It is distorted."""
    COVER = auto()
    """What stands out on both sides is cut off."""
    CONTAIN = auto()
    """The empty bands are filled with its outermost lines."""


def resampled(image: Image.Image, size: Size) -> Image.Image:
    """``image`` at exactly that size, by Lanczos: first all rows, then all columns, rounded in between.

    Two calls, because a single one takes the cheaper order and so gives other pixels for some sizes.
    """
    return image.resize((size[0], image.height), LANCZOS).resize(size, LANCZOS)


def resampled_bands(bands: Iterable[Pixels], full: Size, size: Size) -> Image.Image:
    """``resampled`` of an RGB picture of size ``full`` that is never there as a whole: it comes in bands of rows."""
    rows = Image.new("RGB", (size[0], full[1]))
    top = 0
    for band in bands:
        rows.paste(Image.fromarray(band).resize((size[0], len(band)), LANCZOS), (0, top))
        top += len(band)
    return rows.resize(size, LANCZOS)


def resized(image: Image.Image, size: Size, fit: Fit = Fit.COVER) -> Image.Image:
    """``image`` (RGB) brought into exactly that size."""
    match fit:
        case Fit.STRETCH:
            return resampled(image, size)
        case Fit.COVER:
            return _covering(image, size)
        case Fit.CONTAIN:
            return _contained(image, size)


def lattice_of(native: int) -> int:
    """What sides are multiples of, for a model at home with squares of that side: 64 for SDXL's, 8 at least.

    A power of two, so that it divides every multiple of 64: else no fitted size would have the shape ``native``.
    """
    proportion = max(native * LATTICE // FULL_SIDE, 1)
    return min(max(1 << (proportion.bit_length() - 1), PIXELS_PER_LATENT), LATTICE)


def shape_ceil(width: float, height: float, lattice: int = LATTICE) -> int:
    """Side of the square of the same area, rounded up to a multiple of ``lattice``."""
    return math.ceil(math.sqrt(height * width) / lattice) * lattice


def fitted_size(size: Size, shape: int, lattice: int = LATTICE) -> Size:
    """``size`` if its ``shape_ceil`` is ``shape``, else sides of about that ratio that are on the lattice and have it.

    For some ratios the search goes in a circle; it then ends near ``shape`` (image.md §1, set_shape_ceil).
    """
    width, height = size
    for _ in range(ROUNDS):
        current = shape_ceil(width, height, lattice)
        if abs(current - shape) < SAME_SHAPE:
            break
        scale = shape / current
        # A side rounded to 0 ends the reference in a division by zero; it is kept at one step.
        height, width = (max(round(side * scale / lattice), 1) * lattice for side in (height, width))
    return width, height


def _covering(image: Image.Image, size: Size) -> Image.Image:
    """The middle of ``image`` scaled until it covers ``size``. Only what is kept is ever scaled."""
    (width, height), scaled = size, _scaled(image.size, size, by_width=_wider(size, image.size))
    left, top = (inner // 2 - outer // 2 for inner, outer in zip(scaled, size, strict=True))
    across, down = image.width / scaled[0], image.height / scaled[1]
    rows = image.resize((width, image.height), LANCZOS, (left * across, 0, (left + width) * across, image.height))
    return rows.resize(size, LANCZOS, (0, top * down, width, (top + height) * down))


def _contained(image: Image.Image, size: Size) -> Image.Image:
    """``image`` scaled until it just fits, its outermost lines stretched over what is left."""
    scaled = _scaled(image.size, size, by_width=_wider(image.size, size))
    inner = resampled(image, scaled)
    left, top = (outer // 2 - within // 2 for outer, within in zip(size, scaled, strict=True))
    (across, down), upright = scaled, scaled[0] == size[0]
    first, last = (
        ((0, 0, across, 0), (0, down, across, down)) if upright else ((0, 0, 0, down), (across, 0, across, down))
    )
    # Bicubic at an empty box: every line is the picture's continuation at its very edge.
    canvas = inner.resize(size, Image.Resampling.BICUBIC, first)
    canvas.paste(inner.resize(size, Image.Resampling.BICUBIC, last), (left, top))
    canvas.paste(inner, (left, top))
    return canvas


def _wider(size: Size, other: Size) -> bool:
    return size[0] / size[1] > other[0] / other[1]


def _scaled(own: Size, size: Size, *, by_width: bool) -> Size:
    """``own`` scaled to the width or the height of ``size``, at least a line of it."""
    width, height = size
    return (width, max(own[1] * width // own[0], 1)) if by_width else (max(own[0] * height // own[1], 1), height)
