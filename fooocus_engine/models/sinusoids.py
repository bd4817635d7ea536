"""The sinusoidal embedding of timesteps and size numbers, with frequencies that are the same on every processor.

A frequency is multiplied by numbers up to thousands before its sine is taken, so its last bit shows in the picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

PERIOD = 10000.0
NUDGES: Mapping[int, Mapping[int, int]] = {
    32: {3: 1},
    64: {6: 1, 53: 1},
    128: {12: 1, 106: 1},
    160: {2: 1, 15: 1, 42: 1},
    192: {18: 1, 103: 1, 109: -1, 159: 1},
}
"""Frequencies that the reference, as recorded on an ordinary processor, rounds the other way: number of frequencies →
index → +1 or −1 last bit (docs/decisions/0006)."""


def frequencies(count: int) -> Tensor:
    """``10000^(−k/count)`` for k = 0 … count − 1, float32 (sampling.md §6)."""
    exponents = -math.log(PERIOD) * torch.arange(count, dtype=torch.float32) / count
    values = exponents.double().exp().float()
    for index, direction in NUDGES.get(count, {}).items():
        values[index] = torch.nextafter(values[index], torch.tensor(math.inf * direction))
    return values


class Sinusoids(nn.Module):
    """Numbers → cosines and sines of their multiples."""

    frequencies: Tensor

    def __init__(self, width: int) -> None:
        """``width`` is that of the embedding, an even number."""
        super().__init__()
        self.register_buffer("frequencies", frequencies(width // 2), persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """``numbers [N]`` → float32 ``[N, width]``, cosines first."""
        angles = numbers[:, None].float() * self.frequencies
        return torch.cat([angles.cos(), angles.sin()], dim=-1)


def settle_sinusoids(unet: UNet2DConditionModel | ControlNetModel, device: torch.device) -> None:
    """Put ``Sinusoids`` in the place of the library's own embeddings of timestep and size numbers.

    Only where it computes the same: cosines first, no shift of the frequencies.
    """
    config = unet.config
    if not config.flip_sin_to_cos or config.freq_shift:
        return
    unet.time_proj = Sinusoids(config.block_out_channels[0]).to(device)
    if config.addition_embed_type == "text_time":
        unet.add_time_proj = Sinusoids(config.addition_time_embed_dim).to(device)
