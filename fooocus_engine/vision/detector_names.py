"""A file of GroundingDINO as it was published → transformers' names and sizes. Knows no pictures.

Head counts come from what the companion folder tells, or are those of the published network; all else is read from the
tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from torch import Tensor
from transformers import BertConfig, GroundingDinoConfig, SwinConfig

from fooocus_engine.errors import BadModelFile
from fooocus_engine.vision.names import Rule, counted, renamed, unstacked

HEADS = 8
TEXT_HEAD_SIZE = 64  # of BERT: 768 channels, 12 heads
STAGES = 4  # of the backbone, at most
_BACKBONE = "model.backbone.conv_encoder.model."
_SWIN = f"{_BACKBONE}swin."
_LAYERS = f"{_SWIN}encoder.layers."
_ENCODER, _DECODER = "model.encoder.layers.", "model.decoder.layers."

RULES: tuple[Rule, ...] = (
    (r"^module\.", ""),
    (r"^backbone\.0\.patch_embed\.proj\.", f"{_SWIN}embeddings.patch_embeddings.projection."),
    (r"^backbone\.0\.patch_embed\.norm\.", f"{_SWIN}embeddings.norm."),
    *((rf"^backbone\.0\.norm{n}\.", f"{_BACKBONE}hidden_states_norms.stage{n + 1}.") for n in range(STAGES)),
    (r"^backbone\.0\.layers\.(.*)\.norm1\.", rf"{_LAYERS}\1.layernorm_before."),
    (r"^backbone\.0\.layers\.(.*)\.norm2\.", rf"{_LAYERS}\1.layernorm_after."),
    (r"^backbone\.0\.layers\.(.*)\.attn\.proj\.", rf"{_LAYERS}\1.attention.o_proj."),
    (r"^backbone\.0\.layers\.(.*)\.attn\.relative", rf"{_LAYERS}\1.attention.relative_position_bias.relative"),
    (r"^backbone\.0\.layers\.(.*)\.attn\.", rf"{_LAYERS}\1.attention."),
    (r"^backbone\.0\.layers\.", _LAYERS),
    (r"^bert\.", "model.text_backbone."),
    (r"^feat_map\.", "model.text_projection."),
    (r"^input_proj\.", "model.input_proj_vision."),
    (r"^transformer\.tgt_embed\.", "model.query_position_embeddings."),
    (r"^transformer\.enc_out_bbox_embed\.", "model.encoder_output_bbox_embed."),
    (r"^transformer\.decoder\.ref_point_head\.", "model.decoder.reference_points_head."),
    (r"^transformer\.decoder\.norm\.", "model.decoder.layer_norm."),
    (r"^transformer\.encoder\.text_layers\.(\d+)\.", rf"{_ENCODER}\1.text_enhancer_layer."),
    (r"^transformer\.encoder\.fusion_layers\.(\d+)\.", rf"{_ENCODER}\1.fusion_layer."),
    (r"^transformer\.encoder\.layers\.(\d+)\.", rf"{_ENCODER}\1.deformable_layer."),
    (r"^transformer\.", "model."),
    (r"(text_enhancer_layer)\.norm1\.", r"\1.layer_norm_before."),
    (r"(text_enhancer_layer)\.norm2\.", r"\1.layer_norm_after."),
    (r"(deformable_layer)\.norm1\.", r"\1.self_attn_layer_norm."),
    (r"(deformable_layer)\.norm2\.", r"\1.final_layer_norm."),
    (r"(fusion_layer)\.gamma_v$", r"\1.vision_param"),
    (r"(fusion_layer)\.gamma_l$", r"\1.text_param"),
    (r"(fusion_layer)\.layer_norm_v\.", r"\1.layer_norm_vision."),
    (r"(fusion_layer)\.layer_norm_l\.", r"\1.layer_norm_text."),
    (r"(fusion_layer\.attn\.(?:values_|out_|))v_proj\.", r"\1vision_proj."),
    (r"(fusion_layer\.attn\.(?:values_|out_|))l_proj\.", r"\1text_proj."),
    (r"^(model\.decoder\.layers\.\d+)\.norm1\.", r"\1.encoder_attn_layer_norm."),
    (r"^(model\.decoder\.layers\.\d+)\.norm2\.", r"\1.self_attn_layer_norm."),
    (r"^(model\.decoder\.layers\.\d+)\.norm3\.", r"\1.final_layer_norm."),
    (r"^(model\.decoder\.layers\.\d+)\.catext_norm\.", r"\1.encoder_attn_text_layer_norm."),
    (r"^(model\.decoder\.layers\.\d+)\.ca_text\.", r"\1.encoder_attn_text."),
    (r"^(model\.decoder\.layers\.\d+)\.cross_attn\.", r"\1.encoder_attn."),
    (r"^(model\.(?:en|de)coder\.layers\..*)\.linear([12])\.", r"\1.fc\2."),
)
STACKED = (
    (r"(attention)\.qkv\.", (r"\1.q_proj.", r"\1.k_proj.", r"\1.v_proj.")),
    (r"\.in_proj_(weight|bias)$", (r".query.\1", r".key.\1", r".value.\1")),
)  # matrices that hold queries, keys and values one under another


def library_names(weights: Mapping[str, Tensor], file: str) -> dict[str, Tensor]:
    """``weights`` under transformers' names.

    Raises:
        BadModelFile: there is no backbone among them.
    """
    tensors = renamed(weights, RULES)
    for pattern, parts in STACKED:
        tensors = unstacked(tensors, pattern, parts)
    stages = counted(tensors, r"hidden_states_norms\.stage(\d+)\.") - 1
    last = tensors.get(f"{_BACKBONE}hidden_states_norms.stage{stages}.weight")
    if last is None:
        raise BadModelFile(f"{file}: the detector lacks the norms of its backbone")
    # A norm of the library's backbone that none of its outputs passes; no file holds it.
    return tensors | {
        f"{_SWIN}layernorm.weight": torch.ones_like(last),
        f"{_SWIN}layernorm.bias": torch.zeros_like(last),
    }


def sizes(tensors: Mapping[str, Tensor], told: Mapping[str, Any], file: str) -> GroundingDinoConfig:
    """The network that ``tensors`` (transformers' names) are of.

    Raises:
        BadModelFile: one is missing, or its shape is another one's.
    """
    try:
        levels, width = tensors["model.level_embed"].shape
        heads = told.get("heads", HEADS)
        encoder, decoder = (f"{part}0." for part in (_ENCODER, _DECODER))
        offsets = len(tensors[f"{encoder}deformable_layer.self_attn.sampling_offsets.weight"])
        read_offsets = len(tensors[f"{decoder}encoder_attn.sampling_offsets.weight"])
        return GroundingDinoConfig(
            backbone_config=_backbone(tensors).to_dict(),
            text_config=_text(tensors, told).to_dict(),
            d_model=width,
            num_feature_levels=levels,
            num_queries=len(tensors["model.query_position_embeddings.weight"]),
            encoder_layers=counted(tensors, r"^model\.encoder\.layers\.(\d+)\."),
            decoder_layers=counted(tensors, r"^model\.decoder\.layers\.(\d+)\."),
            encoder_ffn_dim=len(tensors[f"{encoder}deformable_layer.fc1.weight"]),
            decoder_ffn_dim=len(tensors[f"{decoder}fc1.weight"]),
            encoder_attention_heads=heads,
            decoder_attention_heads=heads,
            encoder_n_points=offsets // (heads * levels * 2),
            decoder_n_points=read_offsets // (heads * levels * 2),
        )
    except KeyError as error:
        raise BadModelFile(f"{file}: the detector lacks {error.args[0]}") from error
    except (ValueError, IndexError, ZeroDivisionError) as error:
        raise BadModelFile(f"{file}: the detector has weights of unexpected shape: {error}") from error


def _backbone(tensors: Mapping[str, Tensor]) -> SwinConfig:
    width, _, patch, _ = tensors[f"{_SWIN}embeddings.patch_embeddings.projection.weight"].shape
    stages = range(counted(tensors, rf"^{_LAYERS}(\d+)\."))
    tables = [
        tensors[f"{_LAYERS}{n}.blocks.0.attention.relative_position_bias.relative_position_bias_table"].shape
        for n in stages
    ]
    told = [n + 1 for n in stages if f"{_BACKBONE}hidden_states_norms.stage{n + 1}.weight" in tensors]
    return SwinConfig(
        patch_size=patch,
        embed_dim=width,
        depths=[counted(tensors, rf"^{_LAYERS}{n}\.blocks\.(\d+)\.") for n in stages],
        num_heads=[heads for _, heads in tables],
        window_size=(isqrt(tables[0][0]) + 1) // 2,
        out_indices=told,
    )


def _text(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> BertConfig:
    words, width = tensors["model.text_backbone.embeddings.word_embeddings.weight"].shape
    return BertConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=counted(tensors, r"^model\.text_backbone\.encoder\.layer\.(\d+)\."),
        num_attention_heads=told.get("text_heads", max(1, width // TEXT_HEAD_SIZE)),
        intermediate_size=len(tensors["model.text_backbone.encoder.layer.0.intermediate.dense.weight"]),
        max_position_embeddings=len(tensors["model.text_backbone.embeddings.position_embeddings.weight"]),
    )
