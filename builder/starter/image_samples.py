"""Training samples of the image-prompt adapter: pictures of scenes, and what its tokens are to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from builder.starter.adapter import SIDE
from builder.starter.base import Base
from builder.starter.drawing import picture
from builder.starter.model import NATIVE
from builder.starter.pictures import in_shares
from builder.starter.token_texts import token_states
from builder.starter.world import Scene, training_scene
from fooocus_engine.conditioning.image_prompt import normalised, square

SIZES = (NATIVE, (128, 128), (256, 256), (240, 160), (160, 240))


@dataclass(frozen=True)
class PromptPool:
    """Pictures with what the text encoders say of their scenes."""

    scenes: Sequence[Scene]
    pictures: Tensor
    """``[N, 3, 224, 224]`` uint8."""
    states: Tensor
    """``[N, 8, context]``."""

    def pixels(self, chosen: Sequence[int]) -> Tensor:
        """These pictures as the vision tower wants them."""
        return normalised(self.pictures[list(chosen)].float() / 255)


def prompt_pool(base: Base, seed: int, count: int, painters: int = 1) -> PromptPool:
    """Draw and encode."""
    drawn = in_shares(_drawn, seed, count, painters)
    scenes = [scene for scene, _ in drawn]
    pictures = torch.from_numpy(np.stack([square for _, square in drawn])).permute(0, 3, 1, 2)
    return PromptPool(scenes, pictures.contiguous().to(base.device), token_states(base.networks, base.words, scenes))


def _drawn(seed: int, count: int) -> list[tuple[Scene, NDArray[np.uint8]]]:
    random = Random(seed)
    scenes = [training_scene(random) for _ in range(count)]
    return [(scene, np.asarray(square(picture(scene, random.choice(SIZES), random), SIDE))) for scene in scenes]
