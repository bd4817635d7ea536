"""How far a result is from a recording, as a multiple of what is allowed: at most 1 passes."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

BLOCK_LEVELS = 0.2  # grey levels allowed for means of blocks (records/README.md)
SHARE_OF_PIXELS = 0.999  # of a picture's values that must be within the allowed levels


def tensor_error(actual: Tensor, expected: Tensor, *, absolute: float, relative: float = 0.0) -> float:
    """Largest difference over ``absolute + relative · max |expected|``; what is not finite must match in place."""
    if actual.shape != expected.shape:
        return float("inf")
    actual, expected = actual.detach().double().cpu(), expected.double()
    finite = torch.isfinite(expected)
    if not torch.equal(torch.isfinite(actual), finite):
        return float("inf")
    if not finite.any():
        return 0.0
    allowed = absolute + relative * float(expected[finite].abs().max())
    difference = float((actual[finite] - expected[finite]).abs().max())
    return difference / allowed if allowed else (0.0 if difference == 0 else float("inf"))


def picture_error(actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any], *, levels: int) -> float:
    """Difference in grey levels that 99.9 % of the values keep within, over the allowed ``levels``."""
    if actual.shape != expected.shape:
        return float("inf")
    difference = np.abs(actual.astype(int) - expected.astype(int)).ravel()
    return float(np.quantile(difference, SHARE_OF_PIXELS, method="inverted_cdf")) / levels


def exact(actual: Any, expected: Any) -> float:
    """0 when equal, else infinite."""
    return 0.0 if actual == expected else float("inf")


def psnr(actual: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    """Peak signal-to-noise ratio of two 8-bit pictures in decibels; infinite when they are equal."""
    mean_square = float(np.mean((actual.astype(float) - expected.astype(float)) ** 2))
    return float("inf") if mean_square == 0 else 10 * float(np.log10(255**2 / mean_square))
