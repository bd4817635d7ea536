"""A plane of numbers as grey levels, from one percentile to another (image-control.md §§1, 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def stretched(plane: NDArray[np.floating[Any]], dark: int, bright: int) -> NDArray[np.uint8]:
    """``plane`` with its percentile ``dark`` at 0 and ``bright`` at 255; what lies outside cut off, fractions dropped.

    Where both are the same number, what lies above it is 255: the formula's limit.
    """
    low, high = (np.float32(np.percentile(plane, percent)) for percent in (dark, bright))
    if high == low:
        return np.where(plane > low, np.uint8(255), np.uint8(0))
    levels: NDArray[np.uint8] = np.clip((plane - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    return levels
