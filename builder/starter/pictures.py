"""Pools of rendered pictures for the training, as tensors. Drawing is cheap, but not free: a pool is drawn once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from random import Random

import numpy as np
import torch
from torch import Tensor

from builder.starter.drawing import Style, picture
from builder.starter.world import Scene, training_scene

Size = tuple[int, int]


def draw_pool(
    seed: int, count: int, sizes: Sequence[Size], processes: int = 2, style: Style = "filled"
) -> list[tuple[Scene, np.ndarray]]:
    """``count`` training scenes with their pictures ``[h, w, 3]`` uint8; sizes (width, height) take turns."""
    share = 500
    tasks = [(seed * 100_003 + k, min(share, count - k * share), sizes, style) for k in range(-(-count // share))]
    if processes < 2:
        return [pair for task in tasks for pair in _draw(task)]
    with ProcessPoolExecutor(processes) as pool:
        return [pair for part in pool.map(_draw, tasks) for pair in part]


def _draw(task: tuple[int, int, Sequence[Size], Style]) -> list[tuple[Scene, np.ndarray]]:
    seed, count, sizes, style = task
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
