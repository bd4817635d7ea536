"""Names and shapes of the published checkpoint layouts, without their weights.

Built from the modules that diffusers and transformers make of the published configurations, renamed into checkpoint
form by the formulas of models.md §5.3 (written here a second time, so that the product's maps are checked, not reused).
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel

CROSS_DOWN, DOWN, CROSS_UP, UP = "CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"
SDXL_UNET = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
    "up_block_types": (CROSS_UP, CROSS_UP, UP),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
VEGA_UNET = SDXL_UNET | {
    "transformer_layers_per_block": [1, 1, [2, 2]],
    "reverse_transformer_layers_per_block": [[2, 2, 2], [2, 1, 1], 1],
    "mid_block_type": "UNetMidBlock2D",
}
SMALL_UNET = SDXL_UNET | {
    "layers_per_block": 1,
    "block_out_channels": (64, 64, 96),
    "transformer_layers_per_block": (1, 1, 1),
    "attention_head_dim": (1, 2, 3),
}
REFINER_UNET = SDXL_UNET | {
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
    "up_block_types": (UP, CROSS_UP, CROSS_UP, UP),
    "transformer_layers_per_block": 4,
    "attention_head_dim": (6, 12, 24, 24),
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}
SD15_UNET = {
    "block_out_channels": (320, 640, 1280, 1280),
    "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
    "up_block_types": (UP, CROSS_UP, CROSS_UP, CROSS_UP),
    "attention_head_dim": 8,
    "cross_attention_dim": 768,
}
VAE = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
}
CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_G = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
VOCABULARY = 49408

Shapes = dict[str, Tensor]


def meta_unet(config: dict) -> UNet2DConditionModel:
    with torch.device("meta"):
        return UNet2DConditionModel(in_channels=4, out_channels=4, **config)


def ldm_unet(config: dict) -> Shapes:
    """UNet tensors under checkpoint names, without prefix."""
    unet = meta_unet(config)
    return {ldm_unet_key(key, config): tensor for key, tensor in unet.state_dict().items()}


def ldm_unet_key(key: str, config: dict) -> str:
    for old, new in (
        ("conv_in.", "input_blocks.0.0."), ("time_embedding.linear_1.", "time_embed.0."),
        ("time_embedding.linear_2.", "time_embed.2."), ("add_embedding.linear_1.", "label_emb.0.0."),
        ("add_embedding.linear_2.", "label_emb.0.2."), ("conv_norm_out.", "out.0."), ("conv_out.", "out.2."),
        ("mid_block.resnets.0.", "middle_block.0."), ("mid_block.attentions.0.", "middle_block.1."),
        ("mid_block.resnets.1.", "middle_block.2."),
    ):  # fmt: skip
        if key.startswith(old):
            key = new + key.removeprefix(old)
    blocks = config.get("layers_per_block", 2)
    part = {"resnets": 0, "attentions": 1}
    key = re.sub(
        r"^down_blocks\.(\d)\.(resnets|attentions)\.(\d)",
        lambda m: f"input_blocks.{1 + (blocks + 1) * int(m[1]) + int(m[3])}.{part[m[2]]}", key,
    )  # fmt: skip
    key = re.sub(
        r"^down_blocks\.(\d)\.downsamplers\.0\.conv",
        lambda m: f"input_blocks.{(blocks + 1) * (int(m[1]) + 1)}.0.op", key,
    )  # fmt: skip
    key = re.sub(
        r"^up_blocks\.(\d)\.(resnets|attentions)\.(\d)",
        lambda m: f"output_blocks.{(blocks + 1) * int(m[1]) + int(m[3])}.{part[m[2]]}", key,
    )  # fmt: skip
    behind = [2 if kind == CROSS_UP else 1 for kind in config["up_block_types"]]  # a level's attention, if any
    key = re.sub(
        r"^up_blocks\.(\d)\.upsamplers\.0",
        lambda m: f"output_blocks.{(blocks + 1) * int(m[1]) + blocks}.{behind[int(m[1])]}", key,
    )  # fmt: skip
    if re.match(r"(input_blocks|output_blocks)\.\d+\.0\.|middle_block\.[02]\.", key):
        for old, new in (
            ("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("time_emb_proj", "emb_layers.1"),
            ("norm2", "out_layers.0"), ("conv2", "out_layers.3"), ("conv_shortcut", "skip_connection"),
        ):  # fmt: skip
            key = key.replace(f".{old}.", f".{new}.")
    return key


def ldm_vae() -> Shapes:
    """Autoencoder tensors under checkpoint names, without prefix; attention as 1×1 convolutions."""
    with torch.device("meta"):
        vae = AutoencoderKL(**VAE)
    return {
        ldm_vae_key(key): tensor[..., None, None] if ".attentions." in key and tensor.ndim == 2 else tensor
        for key, tensor in vae.state_dict().items()
    }


def ldm_vae_key(key: str) -> str:
    key = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{3 - int(m[1])}.block", key)
    key = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{3 - int(m[1])}.upsample", key)
    key = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", key)
    key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
    key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
    for old, new in (
        ("mid_block.attentions.0", "mid.attn_1"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out"),
        ("group_norm", "norm"), ("conv_shortcut", "nin_shortcut"), ("conv_norm_out", "norm_out"),
    ):  # fmt: skip
        key = key.replace(old, new)
    return key


def hf_clip(config: dict) -> Shapes:
    with torch.device("meta"):
        return CLIPTextModel(CLIPTextConfig(vocab_size=VOCABULARY, **config)).state_dict()


def open_clip(config: dict) -> Shapes:
    """A text encoder in OpenCLIP names, with joint q, k, v projections."""
    names = {
        "embeddings.position_embedding.weight": "positional_embedding",
        "embeddings.token_embedding.weight": "token_embedding.weight",
        "final_layer_norm.weight": "ln_final.weight",
        "final_layer_norm.bias": "ln_final.bias",
    }
    inside = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
              "self_attn.out_proj": "attn.out_proj"}  # fmt: skip
    width = config["hidden_size"]
    tensors: Shapes = {}
    for key, tensor in hf_clip(config).items():
        if key in names:
            tensors[names[key]] = tensor
        elif found := re.match(r"encoder\.layers\.(\d+)\.self_attn\.q_proj\.(weight|bias)", key):
            shape = (3 * width, width) if found[2] == "weight" else (3 * width,)
            tensors[f"transformer.resblocks.{found[1]}.attn.in_proj_{found[2]}"] = torch.empty(shape, device="meta")
        elif (found := re.match(r"encoder\.layers\.(\d+)\.(.+)\.(weight|bias)", key)) and found[2] in inside:
            tensors[f"transformer.resblocks.{found[1]}.{inside[found[2]]}.{found[3]}"] = tensor
    tensors["text_projection"] = torch.empty(width, width, device="meta")
    tensors["logit_scale"] = torch.empty((), device="meta")
    return tensors


def prefixed(prefix: str, tensors: Shapes) -> Shapes:
    return {prefix + key: tensor.to(torch.float16) for key, tensor in tensors.items()}


def sdxl_file(unet: dict = SDXL_UNET) -> Shapes:
    """Every tensor of an SDXL base file."""
    return (
        prefixed("model.diffusion_model.", ldm_unet(unet))
        | prefixed("conditioner.embedders.0.transformer.text_model.", hf_clip(CLIP_L))
        | prefixed("conditioner.embedders.1.model.", open_clip(CLIP_G))
        | prefixed("first_stage_model.", ldm_vae())
    )


def refiner_file() -> Shapes:
    """Every tensor of the SDXL refiner's file."""
    return (
        prefixed("model.diffusion_model.", ldm_unet(REFINER_UNET))
        | prefixed("conditioner.embedders.0.model.", open_clip(CLIP_G))
        | prefixed("first_stage_model.", ldm_vae())
    )


def sd15_file() -> Shapes:
    """Every tensor of an SD1.5 file, with the position ids and noise tables that those carry."""
    extras = {"cond_stage_model.transformer.text_model.embeddings.position_ids": torch.empty(1, 77, device="meta")}
    extras |= {"alphas_cumprod": torch.empty(1000, device="meta"), "model_ema.decay": torch.empty((), device="meta")}
    return (
        prefixed("model.diffusion_model.", ldm_unet(SD15_UNET))
        | prefixed("cond_stage_model.transformer.text_model.", hf_clip(CLIP_L))
        | prefixed("first_stage_model.", ldm_vae())
        | extras
    )


def write_vocabulary(folder: Path, size: int = VOCABULARY) -> Path:
    """A tokenizer of the right size without any merge, for tests that encode nothing."""
    tokens = [f"<{index}>" for index in range(size - 2)] + ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return folder
