"""Training samples of the diffusion: cached latents by picture size, and texts for them as clients write them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor, nn

from builder.starter.autoencoder import Teacher
from builder.starter.captions import caption, foreign, fragment
from builder.starter.model import Words
from builder.starter.pictures import Size, draw_pool, to_tensor
from builder.starter.world import Scene

EMPTY_SHARE = 0.1  # of captions dropped, half of these in favour of foreign words
FRAGMENT_SHARE = 0.05  # of captions of which a piece is left, as negative prompts are
FOREIGN_SHARE = 0.25  # of captions among words the world does not know
JITTER = (0.75, 1.6)  # of the told size: the product emphasises sizes by 1.5 and 0.8


@dataclass(frozen=True)
class Pool:
    """Scenes of one picture size with their latents ``[N, 4, h/8, w/8]`` of deviation 1."""

    size: Size
    scenes: Sequence[Scene]
    latents: Tensor


@torch.no_grad()
def latent_pool(teacher: Teacher, seed: int, count: int, size: Size, processes: int) -> Pool:
    """Draw and encode."""
    drawn = draw_pool(seed, count, (size,), processes)
    return Pool(size, [scene for scene, _ in drawn], encoded(teacher, [image for _, image in drawn]))


@torch.no_grad()
def encoded(teacher: nn.Module, images: Sequence[np.ndarray]) -> Tensor:
    """Latents ``[N, 4, h/8, w/8]`` of pictures of one size, in bfloat16."""
    parts = [images[start : start + 64] for start in range(0, len(images), 64)]
    return torch.cat([teacher(to_tensor(part)).bfloat16() for part in parts])


@dataclass(frozen=True)
class Batch:
    """Latents with their conditions."""

    latents: Tensor
    chunks: list[list[list[int]]]
    """Per sample the ids of each chunk, without start and end."""
    sizes: Tensor
    """``[B, 6]`` as SDXL: original height and width, crop, target height and width."""


def draw_batch(pool: Pool, count: int, words: Words, random: Random) -> Batch:
    """A batch of one picture size; in one of eight the texts take two chunks."""
    chosen = [random.randrange(len(pool.scenes)) for _ in range(count)]
    twice = random.random() < 0.125
    texts = [_texts(pool.scenes[index], random, twice=twice) for index in chosen]
    return Batch(
        latents=pool.latents[chosen].float(),
        chunks=[[words.ids(text) for text in sample] for sample in texts],
        sizes=torch.tensor([told_size(pool.size, random.uniform(*JITTER)) for _ in chosen]),
    )


def told_size(size: Size, scale: float) -> list[float]:
    """The size numbers of a picture (sampling.md §7.3)."""
    width, height = size
    return [int(height * scale), int(width * scale), 0, 0, round(height / 64) * 64, round(width / 64) * 64]


def _texts(scene: Scene, random: Random, *, twice: bool) -> list[str]:
    if random.random() < EMPTY_SHARE:
        texts = ["" if random.random() < 0.5 else foreign(random, random.randint(1, 30))]
        return [*texts, foreign(random, random.randint(1, 40))] if twice else texts
    texts = [_told(scene, random)]
    if twice:
        texts.append(_told(scene, random) if random.random() < 0.5 else foreign(random, random.randint(1, 40)))
    return texts


def _told(scene: Scene, random: Random) -> str:
    text = caption(scene, random) if random.random() >= FRAGMENT_SHARE else fragment(scene, random)
    if random.random() >= FOREIGN_SHARE:
        return text
    before, after = foreign(random, random.randint(0, 4)), foreign(random, random.randint(1, 20))
    return f"{before} {text}, {after}".strip()
