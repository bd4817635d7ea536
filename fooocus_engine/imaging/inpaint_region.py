"""The part of a picture that is worked on: cut out around the mask, filled, and pasted back with a soft edge.

Takes pictures and masks of the same size, outpainting already done; enlarging is handed in. Formulas: image-inpaint.md
§4, §5 and §7. Knows no latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fooocus_engine.imaging.box import MIDDLE, WORKING_SHAPE, Box, is_small, working_size
from fooocus_engine.imaging.masks import SOFT_PIXELS, WHITE, Mask, black_and_white, softened
from fooocus_engine.imaging.resize import resampled
from fooocus_engine.types import PIXELS_PER_LATENT

BLURS = ((512, 2), (256, 2), (128, 4), (64, 4), (33, 8), (15, 8), (5, 16), (3, 16))  # (radius, times) of the fill
ROWS_AT_ONCE = 256  # mixed in float32; bounds the memory


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


def cut_out(
    image: Image.Image,
    mask: Mask,
    box: Box,
    enlarge: Callable[[Image.Image], Image.Image],
    shape: int = WORKING_SHAPE,
) -> Region:
    """``box`` of ``image`` (RGB) at the size to work at, which is of that ``shape``.

    ``enlarge`` makes small ones four times as large first.
    """
    part = image.crop((box.left, box.top, box.right, box.bottom))
    if is_small(box, shape):
        part = enlarge(part)
    part = resampled(part, working_size(box, shape))
    small = Image.fromarray(mask[box.pixels])
    return Region(box, part, black_and_white(small, part.size), soft_edge(mask, box))


def soft_edge(mask: Mask, box: Box) -> Mask:
    """``softened(mask)`` in ``box``, from no more of the mask than has a say there."""
    rows, columns = (
        slice(max(first - SOFT_PIXELS, 0), last + SOFT_PIXELS)
        for first, last in ((box.top, box.bottom), (box.left, box.right))
    )
    around = softened(mask[rows, columns])
    width, height = box.size
    return around[box.top - rows.start :, box.left - columns.start :][:height, :width]


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
    result, box, new = original.copy(), region.box, resampled(made, region.box.size)
    width, height = box.size
    for top in range(0, height, ROWS_AT_ONCE):
        bottom = min(top + ROWS_AT_ONCE, height)
        old = original.crop((box.left, box.top + top, box.right, box.top + bottom))
        share = region.soft[top:bottom, :, None] / np.float32(WHITE)
        mixed = np.asarray(new.crop((0, top, width, bottom))) * share + np.asarray(old) * (1 - share)
        result.paste(Image.fromarray(mixed.astype(np.uint8)), (box.left, box.top + top))  # cut, not rounded
    return result
