"""Pools of rendered pictures for the training, as tensors. Drawing is cheap, but not free: a pool is drawn once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from random import Random
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from builder.starter.drawing import Style, picture
from builder.starter.world import Scene, training_scene

Size = tuple[int, int]
Made = TypeVar("Made")
SHARE = 500  # pictures that are drawn from one seed


def draw_pool(
    seed: int, count: int, sizes: Sequence[Size], processes: int = 2, style: Style = "filled"
) -> list[tuple[Scene, np.ndarray]]:
    """``count`` training scenes with their pictures ``[h, w, 3]`` uint8; sizes (width, height) take turns."""
    return in_shares(partial(_draw, sizes=sizes, style=style), seed, count, processes)


def in_shares(work: Callable[[int, int], list[Made]], seed: int, count: int, processes: int) -> list[Made]:
    """What ``work`` makes of the seed and the count of each share of ``count``, in processes of their own if several.

    The same whatever their number.
    """
    counts = [min(SHARE, count - start) for start in range(0, count, SHARE)]
    seeds = [seed * 100_003 + index for index in range(len(counts))]
    if processes < 2:
        parts = list(map(work, seeds, counts))
    else:
        with ProcessPoolExecutor(processes) as pool:  # forked: ``work`` must not compute with torch
            parts = list(pool.map(work, seeds, counts))
    return [made for part in parts for made in part]


def _draw(seed: int, count: int, sizes: Sequence[Size], style: Style) -> list[tuple[Scene, np.ndarray]]:
    random = Random(seed)
    drawn = []
    for index in range(count):
        scene = training_scene(random)
        drawn.append((scene, np.asarray(picture(scene, sizes[index % len(sizes)], random, style))))
    return drawn


def to_tensor(pictures: Sequence[np.ndarray]) -> Tensor:
    """Pictures of one size → ``[B, 3, h, w]`` float32 in −1…1, contiguous."""
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).contiguous()
    return batch.float() / 127.5 - 1


def crops(pool: Sequence[np.ndarray], count: int, side: int, random: Random) -> Tensor:
    """Square pieces of random pictures ``[count, 3, side, side]``; one in six in foreign colours."""
    pieces = []
    for _ in range(count):
        source = random.choice(pool)
        height, width = source.shape[:2]
        y, x = 8 * random.randint(0, (height - side) // 8), 8 * random.randint(0, (width - side) // 8)
        if random.random() < 0.3:
            y, x = random.randint(0, height - side), random.randint(0, width - side)
        piece = source[y : y + side, x : x + side]
        if random.random() < 1 / 6:
            piece = recoloured(piece, random)
        pieces.append(piece)
    return to_tensor(pieces)


def recoloured(piece: np.ndarray, random: Random) -> np.ndarray:
    """Channels exchanged, contrast and brightness changed: colours the world does not have."""
    order = random.sample(range(3), 3)
    low, high = sorted((random.uniform(0, 110), random.uniform(140, 255)))
    changed = piece[..., order].astype(np.float32) / 255 * (high - low) + low
    return changed.astype(np.uint8)
