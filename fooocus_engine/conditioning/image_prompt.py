"""Pictures → image prompts: what a UNet's cross-attention looks at besides the text (image-control.md §4).

Takes RGB pictures as PIL images with weight and stop. Knows no requests, files or UNets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.image_attention import ImagePrompt
from fooocus_engine.models.ip_adapter import ImagePromptAdapter
from fooocus_engine.models.vision_tower import VisionTower

MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's, per channel of 0-1 RGB (image-control.md §4.1)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, eq=False)
class ImagePrompter:
    """A vision tower with one adapter and the tokens of the negative half.

    Raises:
        BadModelFile: the three do not fit together.
    """

    tower: VisionTower
    adapter: ImagePromptAdapter
    negative: Tensor
    """Image tokens ``[1, tokens, context]``."""
    separate: bool = False
    """IP-Adapter's own arithmetic instead of the reference's."""

    def __post_init__(self) -> None:
        if self.adapter.features != self.tower.width:
            raise BadModelFile(
                f"the image-prompt adapter takes {self.adapter.features} features, not {self.tower.width} as the vision"
                " network gives"
            )
        if self.negative.shape != self.adapter.token_shape:
            shapes = f"{tuple(self.negative.shape)}, not {self.adapter.token_shape}"
            raise BadModelFile(f"the negative image tokens are of unexpected shape: {shapes}")

    @torch.no_grad()
    def prompt(self, image: Image.Image, *, weight: float, stop: float) -> ImagePrompt:
        """``image`` (RGB) as an image prompt of ``weight`` 0-2 until a share ``stop`` 0-1 of the way."""
        tokens = self.adapter.tokens(self.tower.features(pixels(image, self.tower.side)))
        return ImagePrompt(
            positive=self.adapter.keys_values(tokens),
            negative=self.adapter.keys_values(self.negative),
            weight=weight,
            stop=stop,
            separate=self.separate,
        )


def pixels(image: Image.Image, side: int) -> Tensor:
    """An RGB picture as CLIP wants it, ``[1, 3, side, side]`` float32."""
    values = torch.from_numpy(np.array(square(image, side), dtype=np.float32) / 255)
    return normalised(values.permute(2, 0, 1)[None].contiguous())


def square(image: Image.Image, side: int) -> Image.Image:
    """A picture pressed into a square, nothing cut off."""
    # Rows first: a single call takes the cheaper order, and so gives other pixels for tall pictures than the reference.
    rows = image.resize((side, image.height), Image.Resampling.LANCZOS)
    return rows.resize((side, side), Image.Resampling.LANCZOS)


def normalised(rgb: Tensor) -> Tensor:
    """``rgb [B, 3, h, w]`` in 0-1 by CLIP's mean and deviation."""
    mean, deviation = (torch.tensor(numbers, device=rgb.device)[:, None, None] for numbers in (MEAN, DEVIATION))
    return (rgb - mean) / deviation
