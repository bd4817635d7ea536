"""An untrained control-LoRA upon a base UNet, in the published file's layout (image-control.md §3).

It changes nothing: every path from the control image ends in a layer of zeros (Zhang et al. 2023, arXiv:2302.05543).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from fooocus_engine.models.control_lora import DOWN, HINT, UP
from fooocus_engine.models.diffusion_model import DiffusionModel

ENCODER = ("time_embed.", "label_emb.", "input_blocks.", "middle_block.")
HINT_WIDTHS = ((3, 16), (16, 16), (16, 32), (32, 32), (32, 96), (96, 96), (96, 256))  # in, out; then the UNet's own


def untrained(base: DiffusionModel, rank: int) -> dict[str, Tensor]:
    """The file's tensors by key, without the marker: of every matrix two factors of at most ``rank``."""
    weights = {
        key: base.unet.get_parameter(name).detach().float()
        for key, name in base.unet_names.items()
        if key.startswith(ENCODER)
    }
    tensors: dict[str, Tensor] = {}
    for key, weight in weights.items():
        if weight.ndim == 1:
            tensors[key] = weight.clone()
        else:
            layer = key.removesuffix(".weight")
            tensors |= {layer + name: factor for name, factor in _factors(weight, rank)}
    channels: tuple[int, ...] = base.unet.config.block_out_channels
    for index, (before, after) in enumerate((*HINT_WIDTHS, (HINT_WIDTHS[-1][1], channels[0]))):
        spread = 0.0 if index == len(HINT_WIDTHS) else (2 / (9 * before)) ** 0.5  # keeps the variance through SiLU
        tensors[f"{HINT}{2 * index}.weight"] = torch.randn(after, before, 3, 3) * spread
        tensors[f"{HINT}{2 * index}.bias"] = torch.zeros(after)
    for name, width in _outlets(base):
        tensors[f"{name}.weight"] = torch.zeros(width, width, 1, 1)
        tensors[f"{name}.bias"] = torch.zeros(width)
    return tensors


def _factors(weight: Tensor, rank: int) -> Iterator[tuple[str, Tensor]]:
    inputs = weight[0].numel()
    rank = min(rank, len(weight), inputs)
    yield UP, torch.zeros(len(weight), rank)
    yield DOWN, torch.randn(rank, *weight.shape[1:]) * inputs**-0.5


def _outlets(base: DiffusionModel) -> Iterator[tuple[str, int]]:
    """The 1×1 convolution behind every block of the encoder, with its channels."""
    channels: tuple[int, ...] = base.unet.config.block_out_channels
    blocks = base.unet.config.layers_per_block
    widths = [channels[0]]
    for level, width in enumerate(channels):
        last = level == len(channels) - 1
        widths += [width] * (blocks if last else blocks + 1)  # a level's blocks, then its resampling
    yield from ((f"zero_convs.{index}.0", width) for index, width in enumerate(widths))
    yield "middle_block_out.0", channels[-1]
