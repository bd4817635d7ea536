"""A control image as something that steers the UNet: residuals, softened and weighed (image-control.md §3).

Takes an image that a preprocessor of ``imaging`` has made; knows neither preprocessors nor noise levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from fooocus_engine.models.control_lora import ControlNetwork
from fooocus_engine.types import PIXELS_PER_LATENT, Conditioning, Residuals, UNetCall


@dataclass(frozen=True, eq=False)
class ImageControl:
    """A ``types.Control``."""

    network: ControlNetwork
    hint: Tensor
    """``[1, C, H, W]`` in 0…1, on the network's device and in its dtype."""
    weight: float
    stop: float
    softness: float
    """0–1: how much less the finer residuals say."""

    def residuals(self, call: UNetCall) -> Residuals:
        """What the network adds to the UNet in this call."""
        height, width = (PIXELS_PER_LATENT * side for side in call.x.shape[-2:])
        skips, middle = self.network.module(
            call.x,
            call.timesteps,
            encoder_hidden_states=call.cross_attention,
            controlnet_cond=fitted(self.hint, height, width),
            added_cond_kwargs=call.added,
            return_dict=False,
        )
        *fine, coarsest = scales(len(skips) + 1, self.weight, self.softness)
        return Residuals(tuple(skip * scale for skip, scale in zip(skips, fine, strict=True)), middle * coarsest)


def image_control(
    network: ControlNetwork, image: NDArray[Any], *, weight: float, stop: float, softness: float
) -> ImageControl:
    """A control by an edge map or the like: ``image [h, w]`` or ``[h, w, C]``, uint8."""
    first = network.own["input_hint_block.0.weight"]
    planes = torch.from_numpy(image.copy())[None]
    planes = planes[:, None].expand(-1, first.shape[1], -1, -1) if image.ndim == 2 else planes.permute(0, 3, 1, 2)
    hint = planes.to(first.device, torch.float32) / 255
    return ImageControl(network, hint.to(first.dtype).contiguous(), weight, stop, softness)


def controlled(conditioning: Conditioning, controls: Sequence[ImageControl]) -> Conditioning:
    """``conditioning`` with these controls, in this order; one of weight 0 is left out."""
    return replace(conditioning, controls=tuple(control for control in controls if control.weight))


def scales(count: int, weight: float, softness: float) -> list[float]:
    """Factors of ``count`` residuals, finest first and the middle block's last (softness: sampling.md §7.6)."""
    return [weight * (1 - softness * (1 - index / (count - 1))) for index in range(count)]


def fitted(hint: Tensor, height: int, width: int) -> Tensor:
    """``hint [B, C, H, W]`` at this size: the middle part of the same aspect, resized by nearest-exact."""
    rows, columns = hint.shape[-2:]
    if (rows, columns) == (height, width):
        return hint
    share = (columns * height) / (rows * width)  # > 1: the hint is too wide
    top, left = (round(side * (1 - kept) / 2) for side, kept in ((rows, min(1, share)), (columns, min(1, 1 / share))))
    middle = hint[..., top : rows - top, left : columns - left]
    return F.interpolate(middle, size=(height, width), mode="nearest-exact")
