"""Training pictures with their edge maps: what a control-LoRA learns from. Drawn and found once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from builder.starter.drawing import picture
from builder.starter.pictures import Size, in_shares
from builder.starter.samples import Encoder, Pool, encoded_pool
from builder.starter.world import Scene, training_scene
from fooocus_engine.imaging.edges import pyra_canny

CONTRAST = (0.6, 1.2)
BLUR = (0.3, 1.0)  # sigma in pixels, of a third of the pictures
GRAIN = (1.0, 6.0)  # grey levels, of a third


@dataclass(frozen=True)
class EdgePool:
    """A pool with the edge map of each picture, ``[N, h, w]`` uint8."""

    pool: Pool
    edges: Tensor

    def hints(self, chosen: Sequence[int]) -> Tensor:
        """Edge maps as the control network takes them: ``[B, 3, h, w]`` in 0…1."""
        return self.edges[list(chosen), None].expand(-1, 3, -1, -1).float() / 255


def edge_pool(encoder: Encoder, seed: int, count: int, size: Size, painters: int = 1) -> EdgePool:
    """Draw, encode, and find the edges of a varied copy: a control image is rarely of the world's own making."""
    drawn = in_shares(partial(_drawn, size=size), seed, count, painters)
    pool = encoded_pool(encoder, [(scene, image) for scene, image, _ in drawn], size)
    edges = torch.from_numpy(np.stack([edges for _, _, edges in drawn]))
    return EdgePool(pool, edges.to(pool.latents.device))


def _drawn(seed: int, count: int, size: Size) -> list[tuple[Scene, NDArray[np.uint8], NDArray[np.uint8]]]:
    random = Random(seed)
    scenes = [training_scene(random) for _ in range(count)]
    images = [np.asarray(picture(scene, size, random)) for scene in scenes]
    return [(scene, image, pyra_canny(varied(image, random))) for scene, image in zip(scenes, images, strict=True)]


def varied(image: NDArray[np.uint8], random: Random) -> NDArray[np.uint8]:
    """A copy ``[h, w, 3]`` of other contrast, sometimes blurred or grainy."""
    contrast = random.uniform(*CONTRAST)
    values = (image.astype(np.float32) - 127.5) * contrast + 127.5
    if random.random() < 1 / 3:
        values = np.asarray(cv2.GaussianBlur(values, (0, 0), random.uniform(*BLUR)), np.float32)
    if random.random() < 1 / 3:
        grain = np.random.default_rng(random.getrandbits(32)).standard_normal(image.shape, np.float32)
        values = values + grain * random.uniform(*GRAIN)
    return np.asarray(np.clip(values, 0, 255), np.uint8)
