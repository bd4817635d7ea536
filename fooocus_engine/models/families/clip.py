"""Loading the text encoders of a checkpoint: names, sizes, precision (models.md §5.1, prompt.md §14).

CLIP-L comes in Hugging Face names, bigG in OpenCLIP names. Sizes are read from the tensors; head count, activation and
norm epsilon come from the companion, or are CLIP-L's and bigG's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTextConfig

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.text_encoders import ClipEncoder, Tokenizer
from fooocus_engine.models.weights import assign, built

HEAD_SIZE = 64
CLIP_L_ACTIVATION = "quick_gelu"
CLIP_G_ACTIVATION = "gelu"
CLIP_G_PAD = 0
HARMLESS = (
    "text_model.embeddings.position_ids",
    "text_projection.weight",  # of CLIP-L, whose pooled vector is not used
    "text_projection",
    "logit_scale",
)
G_HARMLESS = ("logit_scale", "attn_mask")

_G_ENDS = {
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "text_projection": "text_projection",
    "text_projection.weight": "text_projection",  # used the same way, untransposed (models.md §5.1)
}
_G_LAYERS = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_G_BLOCKS = "transformer.resblocks."
_LAYER_MARK = re.compile(r"text_model\.encoder\.layers\.\d+\.mlp\.fc1\.weight")
_UNROUNDED = ("text_model.embeddings.", "text_projection")


@dataclass(frozen=True)
class ClipSource:
    """Where an encoder comes from and where it goes."""

    file: str
    told: Mapping[str, Any]
    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype
    """What the rounded transformer weights are kept in."""


def load_clip_l(tensors: Mapping[str, Tensor], source: ClipSource) -> ClipEncoder:
    """CLIP-L from tensors named ``text_model.…`` (or without that prefix); it pads with its end token.

    Raises:
        BadModelFile: a weight is missing or of another shape.
    """
    return _load(clip_l_tensors(tensors), source, activation=CLIP_L_ACTIVATION, pad_id=source.tokenizer.end_id)


def load_clip_g(tensors: Mapping[str, Tensor], source: ClipSource) -> ClipEncoder:
    """bigG from tensors in OpenCLIP names; it pads with id 0.

    Raises:
        BadModelFile: a weight is missing or of another shape.
    """
    named = clip_g_tensors(tensors)
    if "text_projection" not in named:
        raise BadModelFile(f"{source.file}: the second text encoder lacks text_projection")
    return _load(named, source, activation=CLIP_G_ACTIVATION, pad_id=CLIP_G_PAD)


def clip_l_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` under ``text_model.`` names, without what the encoder does not use."""
    prefix = "" if any(key.startswith("text_model.") for key in tensors) else "text_model."
    named = {prefix + key: tensor for key, tensor in tensors.items() if key not in HARMLESS}
    return {key: tensor for key, tensor in named.items() if key not in HARMLESS}


def clip_g_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``tensors`` in Hugging Face names; the joint q, k, v projection becomes three views of it. Unknown keys stay."""
    named: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if key in G_HARMLESS:
            continue
        if key in _G_ENDS:
            named[_G_ENDS[key]] = tensor
        else:
            named |= _layer_tensors(key, tensor)
    return named


def _layer_tensors(key: str, tensor: Tensor) -> dict[str, Tensor]:
    number, _, inside = key.removeprefix(_G_BLOCKS).partition(".")
    layer = f"text_model.encoder.layers.{number}."
    if not key.startswith(_G_BLOCKS):
        return {key: tensor}
    if inside in ("attn.in_proj_weight", "attn.in_proj_bias"):
        kind = inside.rpartition("_")[2]
        parts = zip("qkv", tensor.chunk(3), strict=True)
        return {f"{layer}self_attn.{part}_proj.{kind}": third for part, third in parts}
    name, _, kind = inside.rpartition(".")
    return {f"{layer}{_G_LAYERS[name]}.{kind}" if name in _G_LAYERS else key: tensor}


def _load(tensors: Mapping[str, Tensor], source: ClipSource, *, activation: str, pad_id: int) -> ClipEncoder:
    projection = tensors.get("text_projection")
    width = None if projection is None else projection.shape[1]
    config = _config(tensors, source, activation)
    encoder = built(
        lambda: ClipEncoder(CLIPTextConfig(**config), source.tokenizer, projection=width, pad_id=pad_id),
        file=source.file,
        part="text encoder",
    )
    # A buffer that no file holds; the encoder does not read it, but it must not stay on the meta device.
    positions = encoder.text_model.embeddings.position_embedding.num_embeddings
    encoder.text_model.embeddings.position_ids = torch.arange(positions, device=source.device)[None]

    def convert(name: str, tensor: Tensor) -> Tensor:
        if name.startswith(_UNROUNDED):
            return tensor.to(source.device)
        return tensor.to(source.device, torch.float16).to(source.dtype)

    assign(encoder, tensors, file=source.file, part="text encoder", convert=convert)
    _check_vocabulary(encoder, source)
    return encoder


def _config(tensors: Mapping[str, Tensor], source: ClipSource, activation: str) -> dict[str, Any]:
    try:
        vocabulary, width = tensors["text_model.embeddings.token_embedding.weight"].shape
        positions = tensors["text_model.embeddings.position_embedding.weight"].shape[0]
        inner = tensors["text_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
    except KeyError as error:
        raise BadModelFile(f"{source.file}: the text encoder lacks {error.args[0]}") from error
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "max_position_embeddings": positions,
        "num_hidden_layers": sum(1 for key in tensors if _LAYER_MARK.fullmatch(key)),
        "num_attention_heads": source.told.get("num_attention_heads", max(1, width // HEAD_SIZE)),
        "hidden_act": source.told.get("hidden_act", activation),
        "layer_norm_eps": source.told.get("layer_norm_eps", 1e-5),
        "bos_token_id": source.tokenizer.start_id,
        "eos_token_id": source.tokenizer.end_id,
        "pad_token_id": source.tokenizer.end_id,
        "attn_implementation": "sdpa",
    }


def _check_vocabulary(encoder: ClipEncoder, source: ClipSource) -> None:
    size = encoder.text_model.embeddings.token_embedding.num_embeddings
    end = source.tokenizer.end_id
    if end != size - 1:
        raise BadModelFile(f"{source.file}: its text encoder knows {size} tokens; the tokenizer's end token is {end}")
