"""The part of a picture that is worked on: found around the mask, cut out, filled, and pasted back with a soft edge.

Takes pictures and masks of the same size, outpainting already done; enlarging is handed in. Formulas: image-inpaint.md
§3–§5 and §7. Knows no latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fooocus_engine.imaging.masks import MIDDLE, WHITE, Mask, black_and_white, softened
from fooocus_engine.imaging.resize import fitted_size, resampled, shape_ceil

AROUND = 1.15  # the first box, over the mask's own half side
WORKING_SIDE = 1024  # pixels: class of the cut-out's area, as ``shape_ceil`` tells it
BLURS = ((512, 2), (256, 2), (128, 4), (64, 4), (33, 8), (15, 8), (5, 16), (3, 16))  # (radius, times) of the fill
PIXELS_PER_LATENT = 8
ROWS_AT_ONCE = 256  # that are mixed in wider numbers


class Box(NamedTuple):
    """Rows and columns of a picture, their ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.right - self.left, self.bottom - self.top

    @property
    def pixels(self) -> tuple[slice, slice]:
        """As indices of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True, eq=False)
class Region:
    """What is painted on, and what it takes to put it back."""

    box: Box
    """Where in the picture it lies."""
    image: Image.Image
    """The cut-out at the size that is worked at."""
    mask: Mask
    """Of that size, 255 = repaint, 0 = keep."""
    soft: Mask
    """Share of the new picture in 255ths, of the size of ``box``."""


def interested_box(mask: Mask, field: float) -> Box:
    """The mask's surroundings, grown to a share ``field`` (0–1) of the picture's height and width."""
    height, width = mask.shape
    if field == 1:
        return Box(0, height, 0, width)
    box = surroundings(mask)
    while box.bottom - box.top < field * height or box.right - box.left < field * width:
        box = _larger(box, height, width)
    return box


def surroundings(mask: Mask) -> Box:
    """A square around all that is not black, cut at the picture's border. It may miss the last row or column."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    (top, bottom), (left, right) = ((int(places[0]), int(places[-1])) for places in (rows, columns))
    row, column = (top + bottom) // 2, (left + right) // 2
    reach = int(AROUND * max((bottom - top) // 2, (right - left) // 2))
    return _clamped(Box(row - reach, row + reach + 1, column - reach, column + reach + 1), *mask.shape)


def cut_out(image: Image.Image, mask: Mask, box: Box, enlarge: Callable[[Image.Image], Image.Image]) -> Region:
    """``box`` of ``image`` (RGB) at the size to work at; ``enlarge`` makes small ones four times as large first."""
    part = image.crop((box.left, box.top, box.right, box.bottom))
    if shape_ceil(*part.size) < WORKING_SIDE:
        part = enlarge(part)
    part = resampled(part, fitted_size(part.size, WORKING_SIDE))
    small = Image.fromarray(mask[box.pixels])
    return Region(box, part, black_and_white(small, part.size), softened(mask)[box.pixels])


def filled(region: Region) -> Image.Image:
    """The region's picture with colours from around it, ever finer ones, in place of what is repainted."""
    keep = Image.fromarray(np.where(region.mask < MIDDLE, np.uint8(WHITE), np.uint8(0)))
    fill = region.image
    for radius, times in BLURS:
        for _ in range(times):
            fill = Image.composite(region.image, fill.filter(ImageFilter.BoxBlur(radius)), keep)
    return fill


def latent_mask(mask: Mask) -> NDArray[np.float32]:
    """``[h // 8, w // 8]``: 1 for each latent pixel of which ``mask`` (0 and 255) touches any part, else 0."""
    height, width = (side // PIXELS_PER_LATENT for side in mask.shape)
    size = width * PIXELS_PER_LATENT, height * PIXELS_PER_LATENT
    whole = cv2.resize(mask.astype(np.float32) / WHITE, size, interpolation=cv2.INTER_LINEAR).round()
    blocks = whole.reshape(height, PIXELS_PER_LATENT, width, PIXELS_PER_LATENT)
    return np.asarray(blocks.max(axis=(1, 3)), np.float32)


def pasted(original: Image.Image, region: Region, made: Image.Image) -> Image.Image:
    """``original`` (RGB) with ``made`` in the region's box, mixed where its edge is soft; elsewhere bit-equal."""
    result = np.array(original)
    window, new = result[region.box.pixels], np.asarray(resampled(made, region.box.size))
    for top in range(0, len(window), ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        share = region.soft[rows, :, None].astype(np.uint16)
        window[rows] = (new[rows] * share + window[rows] * (WHITE - share)) // WHITE
    return Image.fromarray(result)


def _larger(box: Box, height: int, width: int) -> Box:
    """``box`` one pixel larger at both ends of its shorter side; of the other too where a side is full."""
    rows, columns = box.bottom - box.top, box.right - box.left
    higher = rows < columns or columns == width
    wider = rows >= columns or rows == height
    larger = Box(box.top - higher, box.bottom + higher, box.left - wider, box.right + wider)
    return _clamped(larger, height, width)


def _clamped(box: Box, height: int, width: int) -> Box:
    return Box(max(box.top, 0), min(box.bottom, height), max(box.left, 0), min(box.right, width))
