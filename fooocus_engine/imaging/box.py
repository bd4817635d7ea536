"""Boxes of a picture: around what is marked in it, grown to a share of the whole, and the size that is worked at.

Looks at no more of a picture than its extremes (image-inpaint.md §1, §3, §4).
"""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

from fooocus_engine.imaging.resize import FULL_SIDE, Size, fitted_size, lattice_of, shape_ceil

MIDDLE = 127  # of a mask: above it a pixel is repainted
AROUND = 1.15  # the first box, over the marks' own half side
WORKING_SHAPE = FULL_SIDE  # of the parts that SDXL works at; see ``shape_ceil``
ENLARGED = 4  # how many times the network makes a small part larger


class Box(NamedTuple):
    """Rows and columns of a picture, their ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> Size:
        """(width, height)."""
        return self.right - self.left, self.bottom - self.top

    @property
    def pixels(self) -> tuple[slice, slice]:
        """As indices of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def repaints(mask: Image.Image) -> bool:
    """Whether there is anything to repaint in ``mask`` (L)."""
    return any(mask.histogram()[MIDDLE + 1 :])


def marked_box(mask: Image.Image) -> Box:
    """Around every pixel of ``mask`` (L) that is not black, dark greys included.

    Raises:
        ValueError: all are black.
    """
    found = mask.getbbox()
    if found is None:
        raise ValueError("nothing is marked")
    left, top, right, bottom = found
    return Box(top, bottom, left, right)


def interested_box(marked: Box, size: Size, field: float) -> Box:
    """The surroundings of ``marked``, grown to a share ``field`` (0–1) of a picture's ``size`` (width, height)."""
    width, height = size
    if field == 1:
        return Box(0, height, 0, width)
    box = surroundings(marked, size)
    while box.bottom - box.top < field * height or box.right - box.left < field * width:
        box = _larger(box, size)
    return box


def surroundings(marked: Box, size: Size) -> Box:
    """A square around ``marked``, cut at the border of a picture of ``size``. It may miss the last row or column."""
    top, bottom, left, right = marked.top, marked.bottom - 1, marked.left, marked.right - 1
    row, column = (top + bottom) // 2, (left + right) // 2
    reach = int(AROUND * max((bottom - top) // 2, (right - left) // 2))
    return _clamped(Box(row - reach, row + reach + 1, column - reach, column + reach + 1), size)


def is_small(box: Box, shape: int = WORKING_SHAPE) -> bool:
    """Whether a part is enlarged by a network before it is brought to the size to work at, which is of that shape."""
    return shape_ceil(*box.size, lattice_of(shape)) < shape


def working_size(box: Box, shape: int = WORKING_SHAPE) -> Size:
    """(width, height) that a part is worked at by a model that is at home with that shape."""
    width, height = box.size
    factor = ENLARGED if is_small(box, shape) else 1
    return fitted_size((factor * width, factor * height), shape, lattice_of(shape))


def _larger(box: Box, size: Size) -> Box:
    """``box`` one pixel larger at both ends of its shorter side; of the other too where a side is full."""
    columns, rows = box.size
    width, height = size
    higher = rows < columns or columns == width
    wider = rows >= columns or rows == height
    return _clamped(Box(box.top - higher, box.bottom + higher, box.left - wider, box.right + wider), size)


def _clamped(box: Box, size: Size) -> Box:
    width, height = size
    return Box(max(box.top, 0), min(box.bottom, height), max(box.left, 0), min(box.right, width))
