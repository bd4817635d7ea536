"""Size conditioning: the numbers that tell SDXL how large the picture is meant to be (sampling.md §7.3, §7.4)."""

from __future__ import annotations

import torch
from torch import Tensor

AESTHETIC_POSITIVE = 6.0  # score the SDXL refiner is asked for (sampling.md §7.4)
AESTHETIC_NEGATIVE = 2.5


def round64(value: float) -> int:
    """The nearest multiple of 64, halves to the even multiple: 1056 → 1024, 1312 → 1280, 96 → 128, 32 → 0."""
    return round(value / 64) * 64


def emphasised(size: tuple[int, int], scale: float) -> Tensor:
    """``[1, 6]``: the size times ``scale`` (truncated) as original size, the rounded size as target."""
    width, height = size
    return _row(int(height * scale), int(width * scale), 0, 0, round64(height), round64(width))


def consistent(size: tuple[int, int]) -> Tensor:
    """``[1, 6]``: the rounded size as original and as target size."""
    width, height = size
    return _row(round64(height), round64(width), 0, 0, round64(height), round64(width))


def for_sdxl_refiner(size: tuple[int, int], *, positive: bool) -> Tensor:
    """``[1, 5]``: true height and width, no crop, and the aesthetic score of the side."""
    width, height = size
    return _row(height, width, 0, 0, AESTHETIC_POSITIVE if positive else AESTHETIC_NEGATIVE)


def _row(*numbers: float) -> Tensor:
    return torch.tensor([numbers], dtype=torch.float32)
