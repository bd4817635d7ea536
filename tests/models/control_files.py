"""Control-LoRA files as published (image-control.md §3): names and shapes upon any UNet, random or empty."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

ENCODER = ("time_embed.", "label_emb.", "input_blocks.", "middle_block.")
HINT = ((0, 3, 16), (2, 16, 16), (4, 16, 32), (6, 32, 32), (8, 32, 96), (10, 96, 96), (12, 96, 256))  # index, in, out


def control_file(unet: Mapping[str, Tensor], rank: int) -> dict[str, Tensor]:
    """The file's tensors upon the weights ``unet`` (LDM names), on their device: of every matrix two factors."""
    encoder = {key: tensor for key, tensor in unet.items() if key.startswith(ENCODER)}
    device = unet["input_blocks.0.0.weight"].device
    shapes: dict[str, tuple[int, ...]] = {"lora_controlnet": (0,)}
    for key, tensor in encoder.items():
        if tensor.ndim == 1:
            shapes[key] = tuple(tensor.shape)
        else:
            layer = key.removesuffix(".weight")
            shapes |= {f"{layer}.up": (tensor.shape[0], rank), f"{layer}.down": (rank, *tensor.shape[1:])}
    widths = [block_width(encoder, index) for index in range(1 + max(map(block_index, encoder)))]
    for index, before, after in (*HINT, (14, HINT[-1][2], widths[0])):
        shapes |= {
            f"input_hint_block.{index}.weight": (after, before, 3, 3),
            f"input_hint_block.{index}.bias": (after,),
        }
    for name, width in [*((f"zero_convs.{i}.0", w) for i, w in enumerate(widths)), ("middle_block_out.0", widths[-1])]:
        shapes |= {f"{name}.weight": (width, width, 1, 1), f"{name}.bias": (width,)}
    generator = None if device.type == "meta" else torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=generator, device=device) * 0.1 for key, shape in shapes.items()}


def block_index(key: str) -> int:
    return int(key.split(".")[1]) if key.startswith("input_blocks.") else 0


def block_width(encoder: Mapping[str, Tensor], index: int) -> int:
    """Channels that an input block puts out: its convolution's, its resampling's or its residual block's."""
    endings = ("0.bias", "0.op.bias", "0.out_layers.3.bias")
    return next(len(encoder[key]) for end in endings if (key := f"input_blocks.{index}.{end}") in encoder)
