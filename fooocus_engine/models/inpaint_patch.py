"""What the inpaint engines add to a UNet: patches of its weights, and a head that shows it what is to be repainted.

A patch is merged like a LoRA-type file (``loaded.Loaded.patched``); here is the head
(image-inpaint.md §6). Knows no pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.weights import read_weights

HEAD_SHAPE = (5, 3, 3)  # behind the output channels: mask and four latent channels, 3×3 pixels
KEY = "head"


@dataclass(frozen=True, eq=False)
class InpaintHead:
    """A convolution without bias, float32 ``[C, 5, 3, 3]``."""

    weight: Tensor

    @classmethod
    def load(cls, path: Path, device: torch.device) -> InpaintHead:
        """The head of a file.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: it is unreadable, or holds no such convolution.
        """
        weight = read_weights(path).get(KEY)
        if weight is None or weight.shape[1:] != HEAD_SHAPE:
            found = "lacks it" if weight is None else f"has {list(weight.shape)}"
            raise BadModelFile(f"{path.name}: an inpaint head has a tensor {KEY!r} of [C, 5, 3, 3]; the file {found}")
        return cls(weight.to(device, torch.float32))

    @torch.no_grad()
    def feature(self, mask: Tensor, latent: Tensor) -> Tensor:
        """``[1, C, h, w]`` of ``mask [1, 1, h, w]`` (1 = repaint) and the masked ``latent [1, 4, h, w]`` in the model's
        scale; each on any device."""
        seen = torch.cat([mask.to(self.weight), latent.to(self.weight)], dim=1)
        return F.conv2d(F.pad(seen, (1, 1, 1, 1), mode="replicate"), self.weight)


@contextmanager
def head_added(unet: Any, feature: Tensor) -> Iterator[None]:
    """Within the context, ``unet`` (a ``UNet2DConditionModel``) has ``feature`` added behind its input convolution.

    Raises:
        BadModelFile: it has another number of channels there.
    """
    first: nn.Conv2d = unet.conv_in
    if feature.shape[1] != first.out_channels:
        raise BadModelFile(
            f"the inpaint head has {feature.shape[1]} channels, the base model {first.out_channels}: they do not fit"
        )

    def add(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        return output + feature.to(output)

    hook = first.register_forward_hook(add)
    try:
        yield
    finally:
        hook.remove()
