"""What a client's mask means: which pixels to repaint, grown, shrunk or turned around, and its soft edge.

A mask is ``[h, w]`` uint8 of the picture's size. Above 127 a pixel is repainted; any value above 0 counts for the
box of interest (``box``). Rules: image-inpaint.md §1 and §4.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fooocus_engine.imaging.box import MIDDLE
from fooocus_engine.imaging.resize import resampled

WHITE = 255
SOFT_PIXELS = 32  # from the mask to where the soft edge has ended
SOFT_STEP = 8  # grey levels that the soft edge loses a pixel
LEAST_HOLE = 400  # pixels; smaller ones in what was found by a network are filled (image-tools.md §2.2)
_SQUARE = np.ones((3, 3), np.uint8)
_LEVELS = np.minimum(SOFT_STEP * np.arange(SOFT_PIXELS + 1), WHITE).astype(np.uint8)

Mask = NDArray[np.uint8]


def repaint_mask(mask: Image.Image, size: tuple[int, int]) -> Mask:
    """The mask that ``mask`` (RGB, any size) means for a picture of ``size`` (width, height).

    Of the picture's size, it is the first channel, whitened where the mean of the channels is above the middle: dark
    greys stay. Of another size it is brought to the picture's, black and white.
    """
    white = black_and_white(mask, size)
    return np.maximum(np.asarray(mask)[..., 0], white) if mask.size == size else white


def black_and_white(mask: Image.Image, size: tuple[int, int]) -> Mask:
    """``mask`` at ``size``: 255 where the mean of the channels is above the middle, else 0."""
    if mask.size != size:
        mask = resampled(mask, size)
    values = np.atleast_3d(np.asarray(mask))
    bright = values.sum(axis=2, dtype=np.uint16) > MIDDLE * values.shape[2]
    return np.where(bright, np.uint8(WHITE), np.uint8(0))


def grown(mask: Mask, pixels: int) -> Mask:
    """``mask`` grown by so many pixels in all eight directions; shrunk if negative. What lies outside has no say."""
    if pixels > 0:
        return np.asarray(cv2.dilate(mask, _SQUARE, iterations=pixels), np.uint8)
    if pixels < 0:
        return np.asarray(cv2.erode(mask, _SQUARE, iterations=-pixels), np.uint8)
    return mask


def inverted(mask: Mask) -> Mask:
    """Black for white."""
    return WHITE - mask


def softened(mask: Mask) -> Mask:
    """Share of the new picture in 255ths: 255 in the mask, ``256 − 8·D`` at a distance of D pixels (king's moves)."""
    left = np.where(mask > MIDDLE, np.uint8(SOFT_PIXELS), np.uint8(0))
    for _ in range(SOFT_PIXELS):
        near = cv2.dilate(left, _SQUARE)
        left = np.maximum(left, near - (near > 0))
    return _LEVELS[left]


def without_small_holes(found: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """``found`` with every gap of less than 400 pixels closed; diagonal neighbours belong together."""
    _, labels, facts, _ = cv2.connectedComponentsWithStats((~found).astype(np.uint8), connectivity=8)
    small = np.asarray(facts[:, cv2.CC_STAT_AREA]) < LEAST_HOLE
    small[0] = False  # all that is found counts as one more component
    filled: NDArray[np.bool_] = found | small[labels]
    return filled
