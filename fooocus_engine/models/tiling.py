"""Running a picture-to-picture function in overlapping, feathered tiles (sampling.md §8.2). Knows no model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Tile(NamedTuple):
    """Size of a tile in pixels of the input."""

    width: int
    height: int


def blend_tiles(
    source: Tensor, tile: Tile, *, overlap: int, scale: float, convert: Callable[[Tensor], Tensor]
) -> Tensor:
    """``convert`` on the tiles of ``source [B, C, H, W]``, mixed by soft masks: ``[B, C', H·scale, W·scale]``.

    Tiles start every ``tile − overlap`` pixels, row by row, and are cut at the border. The feather is as wide as the
    overlap and lies on all four edges of every tile.
    """
    feather = round(overlap * scale)
    height, width = (round(side * scale) for side in source.shape[-2:])
    total: Tensor | None = None
    weights = torch.zeros(height, width, device=source.device)
    for rows, columns in _windows(source.shape[-2], source.shape[-1], tile, overlap):
        part = convert(source[..., rows, columns])
        mask = torch.outer(feathered(part.shape[-2], feather), feathered(part.shape[-1], feather)).to(part)
        if total is None:
            total = part.new_zeros(*part.shape[:2], height, width)
            weights = weights.to(part)
        top, left = round(rows.start * scale), round(columns.start * scale)
        area = (..., slice(top, top + part.shape[-2]), slice(left, left + part.shape[-1]))
        total[area] += part * mask
        weights[area] += mask
    if total is None:
        raise ValueError(f"nothing to tile: the picture's sides are {tuple(source.shape[-2:])}")
    return total.div_(weights)  # in place: of a large picture, every copy counts


def feathered(length: int, feather: int) -> Tensor:
    """Weights along one side of a tile, float32 ``[length]``: 1, falling to ``1/feather`` at both ends.

    A side shorter than the feather keeps the reference's indexing: past its start the far edge counts from the end
    again, as Python slices do, and so touches some rows twice (sampling.md §8.2).
    """
    weights = torch.ones(length)
    for t in range(feather):
        factor = (t + 1) / feather
        weights[t : t + 1] *= factor
        weights[length - 1 - t : length - t] *= factor
    return weights


def _windows(height: int, width: int, tile: Tile, overlap: int) -> Iterator[tuple[slice, slice]]:
    for top in range(0, height, tile.height - overlap):
        for left in range(0, width, tile.width - overlap):
            yield slice(top, min(top + tile.height, height)), slice(left, min(left + tile.width, width))
