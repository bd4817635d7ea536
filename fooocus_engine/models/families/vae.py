"""The KL autoencoder of a checkpoint or of a file of its own: names, sizes, loading (models.md §§5.1, 7).

Takes tensors in checkpoint (LDM) or diffusers names. What tensors cannot tell, such as the group count of the norms,
comes from ``vae.json``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.codec import LatentCodec, codec_dtype
from fooocus_engine.models.weights import assign, built

HARMLESS = ("loss.", "model_ema.")  # training leftovers
UNTOLD = ("act_fn", "norm_num_groups")

_SIMPLE = (
    (re.compile(r"\.mid\.block_(\d+)\."), lambda m: f".mid_block.resnets.{int(m[1]) - 1}."),
    (re.compile(r"\.mid\.attn_1\."), lambda m: ".mid_block.attentions.0."),
    (re.compile(r"\.down\.(\d+)\.block\."), lambda m: f".down_blocks.{m[1]}.resnets."),
    (re.compile(r"\.down\.(\d+)\.downsample\."), lambda m: f".down_blocks.{m[1]}.downsamplers.0."),
    (re.compile(r"\.nin_shortcut\."), lambda m: ".conv_shortcut."),
    (re.compile(r"^(encoder|decoder)\.norm_out\."), lambda m: f"{m[1]}.conv_norm_out."),
)
_UP = re.compile(r"\.up\.(\d+)\.(block|upsample)\.")
_UP_PARTS = {"block": "resnets", "upsample": "upsamplers.0"}
_ATTENTION = re.compile(r"(\.attentions\.0\.)(q|k|v|query|key|value|proj_out|proj_attn|norm)\.")
_ATTENTION_NAMES = {
    "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0", "norm": "group_norm",
    "query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0",  # diffusers before 0.15
}  # fmt: skip


def vae_name(key: str, levels: int) -> str:
    """diffusers name of an LDM autoencoder key; diffusers names stay. LDM counts the way up from the fine end."""
    for pattern, name in _SIMPLE:
        key = pattern.sub(name, key)
    key = _UP.sub(lambda m: f".up_blocks.{levels - 1 - int(m[1])}.{_UP_PARTS[m[2]]}.", key)
    return _ATTENTION.sub(lambda m: f"{m[1]}{_ATTENTION_NAMES[m[2]]}.", key)


def load_codec(
    tensors: Mapping[str, Tensor], told: Mapping[str, Any], *, file: str, device: torch.device
) -> LatentCodec:
    """The autoencoder of ``tensors`` (no prefix), on ``device`` in the dtype it computes in there.

    Raises:
        BadModelFile: a weight is missing or of another shape.
    """
    renamed = diffusers_tensors(tensors)
    config = _config(renamed, told, file)
    vae = built(lambda: AutoencoderKL(**config), file=file, part="VAE")
    dtype = codec_dtype(device)
    assign(vae, renamed, file=file, part="VAE", convert=lambda _, tensor: tensor.to(device, dtype))
    return LatentCodec(vae)


def diffusers_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` under diffusers names, training leftovers dropped, 1×1 attention convolutions as matrices (views)."""
    levels = 1 + max((int(found[1]) for key in tensors if (found := _UP.search(key))), default=0)
    renamed = {}
    for key, tensor in tensors.items():
        if key.startswith(HARMLESS):
            continue
        name = vae_name(key, levels)
        renamed[name] = tensor.flatten(1) if ".attentions." in name and tensor.ndim == 4 else tensor
    return renamed


def _config(tensors: Mapping[str, Tensor], told: Mapping[str, Any], file: str) -> dict[str, Any]:
    widths: list[int] = []
    while (first := tensors.get(f"encoder.down_blocks.{len(widths)}.resnets.0.conv1.weight")) is not None:
        widths.append(first.shape[0])
    blocks = sum(key.startswith("encoder.down_blocks.0.resnets.") and key.endswith(".conv1.weight") for key in tensors)
    if not widths or "decoder.conv_in.weight" not in tensors:
        raise BadModelFile(f"{file}: the VAE lacks its encoder or decoder; keys start with encoder., decoder.")
    return {
        "in_channels": tensors["encoder.conv_in.weight"].shape[1] if "encoder.conv_in.weight" in tensors else 3,
        "out_channels": 3,
        "block_out_channels": tuple(widths),
        "down_block_types": ("DownEncoderBlock2D",) * len(widths),
        "up_block_types": ("UpDecoderBlock2D",) * len(widths),
        "layers_per_block": blocks,
        "latent_channels": tensors["decoder.conv_in.weight"].shape[1],
        "norm_num_groups": 32,
    } | {name: told[name] for name in UNTOLD if name in told}
