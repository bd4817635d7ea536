"""``python -m builder.starter.export``: the trained parts as one checkpoint of SDXL layout with its companion.

Names are the published ones (models.md §5.1, §5.3); weights are float16. Latents of deviation 1 are folded into the
autoencoder's outer convolutions, so that SDXL's factor 0.13025 holds. The teacher, which companions learn with, becomes
a file of the work folder.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from builder.starter import autoencoder, model
from builder.starter.train_autoencoder import load_parts
from builder.starter.training import new_parser, write_whole
from builder.starter.vocabulary import write_tokenizer
from fooocus_engine.models.catalogue import CHECKPOINTS
from fooocus_engine.models.families.checkpoint import CLIP_G, CLIP_L, UNET, VAE
from fooocus_engine.models.families.unet_names import ENDS, RESIDUAL, block_names

NAME = "starter_sdxl.safetensors"
_VAE_NAMES = (
    (r"down_blocks\.(\d)\.resnets\.", r"down.\1.block."),
    (r"down_blocks\.(\d)\.downsamplers\.0\.", r"down.\1.downsample."),
    (r"mid_block\.attentions\.0\.", r"mid.attn_1."),
    (r"attn_1\.to_([qkv])\.", r"attn_1.\1."),
    (r"attn_1\.to_out\.0\.", r"attn_1.proj_out."),
    (r"attn_1\.group_norm\.", r"attn_1.norm."),
    (r"conv_norm_out\.", r"norm_out."),
    (r"conv_shortcut\.", r"nin_shortcut."),
)
_UP = re.compile(r"up_blocks\.(\d)\.(resnets|upsamplers\.0)\.")
_MIDDLE = re.compile(r"mid_block\.resnets\.(\d)\.")
_CLIP_G_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_CLIP_G_ENDS = {
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "text_projection": "text_projection",
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return new_parser("export", __doc__)


def main() -> None:
    """Write the checkpoint of a work folder into a models folder, and the teacher beside its states."""
    given = parser().parse_args()
    state = torch.load(given.work / "diffusion.pt", weights_only=True)["average"]
    parts = load_parts(given.work / "autoencoder.pt")
    autoencoder.write_teacher(parts.teacher, given.work)
    autoencoder.fold_scale(parts.vae)
    write_checkpoint(state, parts.vae.state_dict(), given.models / CHECKPOINTS)


def write_checkpoint(networks: Mapping[str, Tensor], vae: Mapping[str, Tensor], folder: Path) -> None:
    """``networks``: state of ``Networks``; ``vae``: state of the autoencoder, its scale folded in."""
    companion = folder / Path(NAME).stem
    companion.mkdir(parents=True, exist_ok=True)
    tensors = {
        **unet_tensors(_below(networks, "unet.")),
        **{CLIP_L + name: value for name, value in _below(networks, "clip_l.").items() if _is_weight(name)},
        **clip_g_tensors(_below(networks, "clip_g.")),
        **vae_tensors(vae),
    }
    halves = {name: value.half().contiguous() for name, value in tensors.items()}
    write_whole(folder / NAME, lambda path: save_file(halves, path))
    told: dict[str, dict[str, Any]] = {
        "unet.json": {"norm_num_groups": model.UNET["norm_num_groups"], "attention_head_dim": _heads()},
        "vae.json": {"norm_num_groups": autoencoder.CONFIG["norm_num_groups"]},
        "text_encoder.json": dict(model.TEXT_L),
        "text_encoder_2.json": dict(model.TEXT_G),
        "model.json": {"native_side": model.NATIVE[0]},
    }
    for file, content in told.items():
        (companion / file).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    write_tokenizer(companion / "tokenizer")


def _heads() -> list[int]:
    return list(model.UNET["attention_head_dim"])


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def _is_weight(name: str) -> bool:
    return not name.endswith("position_ids")


def unet_tensors(unet: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """UNet weights under their checkpoint names."""
    blocks = {diffusers: ldm for ldm, diffusers in block_names(model.LAYOUT).items()}
    blocks |= {diffusers: ldm for ldm, diffusers in ENDS.items()}
    inside = {diffusers: ldm for ldm, diffusers in RESIDUAL.items()}
    named = {}
    for name, value in unet.items():
        block = max((known for known in blocks if name.startswith(known + ".")), key=len)
        rest, _, kind = name.removeprefix(block + ".").rpartition(".")
        path = [blocks[block], inside.get(rest, rest) if ".resnets." in block else rest, kind]
        named[UNET + ".".join(part for part in path if part)] = value
    return named


def clip_g_tensors(encoder: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The second text encoder in OpenCLIP names; queries, keys and values of a layer are one matrix there."""
    named = {}
    for name, value in encoder.items():
        if name in _CLIP_G_ENDS:
            named[CLIP_G + _CLIP_G_ENDS[name]] = value
        elif found := re.fullmatch(r"text_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", name):
            block = f"{CLIP_G}transformer.resblocks.{found[1]}."
            if found[2] in _CLIP_G_LAYER:
                named[f"{block}{_CLIP_G_LAYER[found[2]]}.{found[3]}"] = value
            elif found[2] == "self_attn.q_proj":
                parts = [encoder[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
                named[f"{block}attn.in_proj_{found[3]}"] = torch.cat(parts)
    return named


def vae_tensors(vae: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The autoencoder under LDM names; attention is made of 1×1 convolutions there."""
    named = {}
    for name, value in vae.items():
        key = _UP.sub(_up_name, name)
        key = _MIDDLE.sub(lambda found: f"mid.block_{int(found[1]) + 1}.", key)
        for pattern, replacement in _VAE_NAMES:
            key = re.sub(pattern, replacement, key)
        is_matrix = ".attn_1." in key and value.ndim == 2
        named[VAE + key] = value[:, :, None, None] if is_matrix else value
    return named


def _up_name(found: re.Match[str]) -> str:
    level = len(autoencoder.CONFIG["block_out_channels"]) - 1 - int(found[1])
    return f"up.{level}.{'block' if found[2] == 'resnets' else 'upsample'}."


if __name__ == "__main__":
    main()
