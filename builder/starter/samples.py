"""Training samples of the diffusion: cached latents by picture size, and texts for them as clients write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from torch import Tensor

from builder.starter.captions import caption, foreign, fragment
from builder.starter.model import NATIVE, Words
from builder.starter.pictures import Size, draw_pool, to_tensor
from builder.starter.world import Scene

EMPTY_SHARE = 0.1  # of captions dropped, half of these in favour of foreign words
FRAGMENT_SHARE = 0.05  # of captions of which a piece is left, as negative prompts are
FOREIGN_SHARE = 0.25  # of captions among words the world does not know
Encoder = Callable[[Tensor], Tensor]
"""Images ``[B, 3, h, w]`` in −1…1 → latents ``[B, 4, h/8, w/8]`` of deviation 1."""
OTHER_SIZES = ((144, 144), (240, 160), (160, 240), (240, 240), (288, 288))
JITTER = (0.75, 1.6)  # of the told size: the product emphasises sizes by 1.5 and 0.8


@dataclass(frozen=True)
class Pool:
    """Scenes of one picture size with their latents ``[N, 4, h/8, w/8]`` of deviation 1."""

    size: Size
    scenes: list[Scene]
    latents: Tensor


class Renewal:
    """New pictures in the places of a pool's oldest: one that is seen dozens of times is learned by heart."""

    def __init__(self, pool: Pool, encoder: Encoder) -> None:
        self._pool, self._encoder, self._oldest = pool, encoder, 0

    def renew(self, count: int, random: Random) -> None:
        """Replace ``count`` of them."""
        fresh = latent_pool(self._encoder, random.getrandbits(40), count, self._pool.size, 1)
        for scene, latent in zip(fresh.scenes, fresh.latents, strict=True):
            self._pool.scenes[self._oldest] = scene
            self._pool.latents[self._oldest] = latent
            self._oldest = (self._oldest + 1) % len(self._pool.scenes)


def latent_pool(encoder: Encoder, seed: int, count: int, size: Size, processes: int) -> Pool:
    """Draw and encode."""
    return encoded_pool(encoder, draw_pool(seed, count, (size,), processes), size)


def encoded_pool(encoder: Encoder, drawn: Sequence[tuple[Scene, np.ndarray]], size: Size) -> Pool:
    """The pool of scenes already drawn, all of one size."""
    return Pool(size, [scene for scene, _ in drawn], encoded(encoder, [image for _, image in drawn]))


@torch.no_grad()
def encoded(encoder: Encoder, images: Sequence[np.ndarray]) -> Tensor:
    """Latents ``[N, 4, h/8, w/8]`` of pictures of one size, in bfloat16."""
    parts = [images[start : start + 64] for start in range(0, len(images), 64)]
    return torch.cat([encoder(to_tensor(part)).bfloat16() for part in parts])


@dataclass(frozen=True)
class Batch:
    """Latents with their conditions."""

    latents: Tensor
    chunks: list[list[list[int]]]
    """Per sample the ids of each chunk, without start and end."""
    sizes: Tensor
    """``[B, 6]`` as SDXL: original height and width, crop, target height and width."""


def draw_batch(pool: Pool, count: int, words: Words, random: Random) -> Batch:
    """A batch of one picture size."""
    return batch_of(pool, [random.randrange(len(pool.scenes)) for _ in range(count)], words, random)


def batch_of(pool: Pool, chosen: Sequence[int], words: Words, random: Random) -> Batch:
    """The pool's samples of these numbers; in one of eight batches the texts take two chunks."""
    twice = random.random() < 0.125
    texts = [_texts(pool.scenes[index], random, twice=twice) for index in chosen]
    return Batch(
        latents=pool.latents[list(chosen)].float(),
        chunks=[[words.ids(text) for text in sample] for sample in texts],
        sizes=torch.tensor([told_size(pool.size, random.uniform(*JITTER)) for _ in chosen], device=pool.latents.device),
    )


def told_size(size: Size, scale: float) -> list[float]:
    """The size numbers of a picture (sampling.md §7.3)."""
    width, height = size
    return [int(height * scale), int(width * scale), 0, 0, round(height / 64) * 64, round(width / 64) * 64]


def mixed_size(random: Random) -> Size:
    """The size of a companion's next batch: seven of ten are native."""
    return NATIVE if random.random() < 0.7 else random.choice(OTHER_SIZES)


def count_at(size: Size, native_count: int) -> int:
    """Pictures of ``size`` in a batch that holds as many pixels as ``native_count`` of the native one."""
    return max(4, round(native_count * NATIVE[0] * NATIVE[1] / (size[0] * size[1])))


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
