"""The sizes of a UNet, read from its tensors in checkpoint (LDM) names, and the diffusers configuration they make.

Any number of levels, residual blocks and transformer depths is read, so tiny and distilled models load as the full ones
do. What tensors cannot tell comes from ``unet.json`` (models.md §5.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from fooocus_engine.errors import BadModelFile

HEAD_SIZE = 64  # of SDXL and its refiner
UNTOLD = ("act_fn", "norm_num_groups", "norm_eps", "flip_sin_to_cos", "freq_shift", "addition_time_embed_dim")

_BLOCK = re.compile(r"(input_blocks|output_blocks)\.(\d+)\.(\d+)\.(.+)")
_DEPTH = re.compile(r"transformer_blocks\.(\d+)\.")


@dataclass(frozen=True)
class Level:
    """One resolution of the UNet, on its way down or up."""

    channels: int
    depths: tuple[int, ...]
    """Transformer blocks behind each residual block; 0 = no attention."""


@dataclass(frozen=True)
class UNetLayout:
    """Everything about a UNet that its tensors tell."""

    in_channels: int
    out_channels: int
    time_width: int
    down: tuple[Level, ...]
    up: tuple[Level, ...]
    """In running order, coarsest first."""
    middle_depth: int
    """0 = the middle is one residual block without attention."""
    context: int
    """Width of the cross-attention's input."""
    adm: int | None
    """Width of the vector embedding; ``None`` without one."""
    linear: bool
    """Attention is entered through a linear layer, not a 1×1 convolution."""


def read_layout(tensors: Mapping[str, Tensor], *, file: str) -> UNetLayout:
    """The layout of UNet ``tensors`` (names without ``model.diffusion_model.``).

    Raises:
        BadModelFile: they do not form such a UNet.
    """
    try:
        return _read_layout(tensors)
    except (KeyError, IndexError, StopIteration) as error:
        raise BadModelFile(f"{file}: its UNet lacks {error.args[0] if error.args else 'attention'}") from error


def _read_layout(tensors: Mapping[str, Tensor]) -> UNetLayout:
    first = tensors["input_blocks.0.0.weight"]
    adm = tensors.get("label_emb.0.0.weight")
    entry = next(key for key in tensors if key.endswith(".proj_in.weight"))
    context = next(key for key in tensors if key.endswith(".attn2.to_k.weight"))
    return UNetLayout(
        in_channels=first.shape[1],
        out_channels=tensors["out.2.weight"].shape[0],
        time_width=tensors["time_embed.0.weight"].shape[0],
        down=_levels(tensors, "input_blocks", start=1),
        up=_levels(tensors, "output_blocks", start=0),
        middle_depth=_depth(
            key.removeprefix("middle_block.1.") for key in tensors if key.startswith("middle_block.1.")
        ),
        context=tensors[context].shape[1],
        adm=None if adm is None else adm.shape[1],
        linear=tensors[entry].ndim == 2,
    )


def _levels(tensors: Mapping[str, Tensor], side: str, *, start: int) -> tuple[Level, ...]:
    """Residual blocks grouped by the resampling between them: a block of its own on the way down, a part going up."""
    blocks: dict[int, list[str]] = {}
    for key in tensors:
        if (found := _BLOCK.match(key)) and found[1] == side:
            blocks.setdefault(int(found[2]), []).append(f"{found[3]}.{found[4]}")
    levels: list[Level] = []
    if missing := [index for index in range(start, max(blocks, default=start) + 1) if index not in blocks]:
        raise KeyError(f"{side}.{missing[0]}")
    channels = 0
    depths: list[int] = []
    for index in range(start, max(blocks) + 1):
        names = blocks[index]
        if "0.op.weight" in names:
            levels.append(Level(channels, tuple(depths)))
            depths = []
            continue
        channels = tensors[f"{side}.{index}.0.out_layers.3.weight"].shape[0]
        depths.append(_depth(name.removeprefix("1.") for name in names if name.startswith("1.")))
        if side == "output_blocks" and any(name.endswith(".conv.weight") for name in names):
            levels.append(Level(channels, tuple(depths)))
            depths = []
    return (*levels, Level(channels, tuple(depths)))


def _depth(names: Iterator[str]) -> int:
    return 1 + max((int(found[1]) for name in names if (found := _DEPTH.match(name))), default=-1)


def unet_config(layout: UNetLayout, told: Mapping[str, Any], *, heads: int | None, file: str) -> dict[str, Any]:
    """Arguments of ``UNet2DConditionModel``: sizes from ``layout``, the rest from ``told`` (``unet.json``).

    ``heads`` is the family's number of attention heads at every level; ``None`` means heads of 64 channels.

    Raises:
        BadModelFile: diffusers has no network of this layout.
    """
    _check(layout, file)
    down = [_depths(level, layout.middle_depth) for level in layout.down]
    widths = tuple(level.channels for level in layout.down)
    blocks = tuple(len(level.depths) for level in layout.down)
    config: dict[str, Any] = {
        "in_channels": layout.in_channels,
        "out_channels": layout.out_channels,
        "time_embedding_dim": layout.time_width,
        "block_out_channels": widths,
        "layers_per_block": blocks[0] if len(set(blocks)) == 1 else blocks,
        "down_block_types": tuple("CrossAttnDownBlock2D" if any(v.depths) else "DownBlock2D" for v in layout.down),
        "mid_block_type": "UNetMidBlock2DCrossAttn" if layout.middle_depth else "UNetMidBlock2D",
        "up_block_types": tuple("CrossAttnUpBlock2D" if any(v.depths) else "UpBlock2D" for v in layout.up),
        "transformer_layers_per_block": down,
        "reverse_transformer_layers_per_block": [_depths(level, 1) for level in layout.up],
        "cross_attention_dim": layout.context,
        "use_linear_projection": layout.linear,
        "attention_head_dim": _heads(widths, told, heads, file),
    }
    if layout.adm is not None:
        config |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
        config |= {"projection_class_embeddings_input_dim": layout.adm}
    return config | {name: told[name] for name in UNTOLD if name in told}


def _depths(level: Level, without: int) -> list[int]:
    """Depth per residual block; a level without attention holds the value that the middle block reads from the last."""
    return list(level.depths) if any(level.depths) else [without or 1] * len(level.depths)


def _heads(widths: tuple[int, ...], told: Mapping[str, Any], heads: int | None, file: str) -> tuple[int, ...]:
    # diffusers' `attention_head_dim` is, for historical reasons, the number of heads.
    value = told.get("num_attention_heads") or told.get("attention_head_dim") or heads
    if value is None:
        return tuple(width // HEAD_SIZE for width in widths)
    numbers = (value,) * len(widths) if isinstance(value, int) else tuple(value)
    if len(numbers) != len(widths):
        raise BadModelFile(f"{file}: its unet.json tells {len(numbers)} head numbers for {len(widths)} levels")
    return numbers


def _check(layout: UNetLayout, file: str) -> None:
    if len(layout.down) != len(layout.up):
        raise BadModelFile(f"{file}: its UNet has {len(layout.down)} levels going down and {len(layout.up)} up")
    if any(0 in level.depths and any(level.depths) for level in (*layout.down, *layout.up)):
        raise BadModelFile(f"{file}: its UNet has attention in only some blocks of a level; not supported")
    last = layout.down[-1].depths
    if layout.middle_depth and any(last) and last[0] != layout.middle_depth:
        raise BadModelFile(f"{file}: its UNet's middle is {layout.middle_depth} deep, the level before {last[0]}")
