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
    bands = blended_bands(source, tile, overlap=overlap, scale=scale, convert=convert)
    return torch.cat([band.clone() for band in bands], dim=-2)


def blended_bands(
    source: Tensor, tile: Tile, *, overlap: int, scale: float, convert: Callable[[Tensor], Tensor]
) -> Iterator[Tensor]:
    """The rows of ``blend_tiles`` from the top: bands, each as soon as no further tile touches it.

    Holds one row of tiles, in which every band is a view: it is overwritten when the next one is asked for.
    """
    if 0 in source.shape:
        raise ValueError(f"nothing to tile: the picture's sides are {tuple(source.shape[-2:])}")
    feather, (height, width), step = round(overlap * scale), source.shape[-2:], tile.height - overlap
    sums = weights = torch.zeros(0)
    for top in range(0, height, step):
        rows = slice(top, min(top + tile.height, height))
        for left in range(0, width, tile.width - overlap):
            part = convert(source[..., rows, left : left + tile.width])
            if sums.numel() == 0:
                shape = round(min(tile.height, height) * scale), round(width * scale)
                sums, weights = part.new_zeros(*part.shape[:2], *shape), part.new_zeros(shape)
            mask = torch.outer(feathered(part.shape[-2], feather), feathered(part.shape[-1], feather)).to(part)
            start = round(left * scale)
            area = (..., slice(0, part.shape[-2]), slice(start, start + part.shape[-1]))
            sums[area] += part * mask
            weights[area] += mask
        ready = round(min(step, height - top) * scale)
        yield sums[..., :ready, :].div_(weights[:ready])  # in place: of a large picture, every copy counts
        for total in (sums, weights):
            overlapped = total[..., ready:, :].clone()
            total.zero_()[..., : overlapped.shape[-2], :] = overlapped


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
