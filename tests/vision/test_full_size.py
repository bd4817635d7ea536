"""The published networks' own sizes are read from shapes alone: no weights, on the meta device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    BertConfig,
    BlipConfig,
    BlipForConditionalGeneration,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    SamConfig,
    SamModel,
    SwinConfig,
)

from fooocus_engine.vision import caption, segment
from fooocus_engine.vision.detector_names import library_names, sizes
from fooocus_engine.vision.names import renamed
from tests.vision.tiny_networks import BLIP_NAMES, DINO_NAMES, SAM_NAMES, published, stacked

BERT_WORDS = 30522


def empty(make: Callable[[], Any]) -> Any:
    with torch.device("meta"):
        return make()


def shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def test_the_captioner_is_vit_b_16_at_384_and_bert_base():
    text = {"vocab_size": BERT_WORDS + 2, "num_attention_heads": 12}
    full = empty(lambda: BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config={})))
    words = SimpleNamespace(get_vocab_size=lambda: BERT_WORDS, token_to_id={"[SEP]": 102, "[PAD]": 0}.get)
    tensors = renamed(published(full.state_dict(), BLIP_NAMES), caption.RULES)
    config = caption._config(tensors, words, {}, "file")
    found = empty(lambda: BlipForConditionalGeneration(config))
    assert shapes(found.state_dict()) == shapes(full.state_dict()) == shapes(tensors)
    assert (config.vision_config.image_size, config.vision_config.num_attention_heads) == (384, 12)
    assert (config.text_config.num_attention_heads, config.text_config.bos_token_id) == (12, 30522)
    assert (config.vision_config.layer_norm_eps, config.text_config.layer_norm_eps) == (1e-6, 1e-12)


@pytest.mark.parametrize(
    ("width", "layers", "heads", "wide"),
    [(768, 12, 12, (2, 5, 8, 11)), (1024, 24, 16, (5, 11, 17, 23)), (1280, 32, 16, (7, 15, 23, 31))],
)
def test_the_segmenters_are_the_three_published_ones(width, layers, heads, wide):
    vision = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads}
    vision |= {"global_attn_indexes": wide}
    full = empty(lambda: SamModel(SamConfig(vision_config=vision)))
    tensors = renamed(published(full.state_dict(), SAM_NAMES), segment.RULES)
    config = segment._config(tensors, {}, "file")
    found = empty(lambda: SamModel(config))
    assert shapes(found.state_dict()) == shapes(full.state_dict())
    assert tuple(config.vision_config.global_attn_indexes) == wide
    assert (config.vision_config.num_attention_heads, config.vision_config.window_size) == (heads, 14)
    assert config.vision_config.image_size == config.prompt_encoder_config.image_size == 1024
    assert config.mask_decoder_config.to_dict() == SamConfig().mask_decoder_config.to_dict()


def test_the_detector_is_swin_t_with_bert_base():
    swin, bert = SwinConfig(out_indices=[2, 3, 4]), BertConfig()
    wanted = GroundingDinoConfig(backbone_config=swin.to_dict(), text_config=bert.to_dict())
    full = empty(lambda: GroundingDinoForObjectDetection(wanted))
    place = "^model.backbone.conv_encoder.model.hidden_states_norms.stage"
    norms = [(f"{place}{n + 1}", f"backbone.0.norm{n}") for n in (1, 2, 3)]
    weights = {name: t for name, t in full.state_dict().items() if "swin.layernorm" not in name}
    weights = stacked(weights, r"attention\.([qkv])_proj\.", "qkv", "attention.qkv.")
    weights = stacked(weights, r"\.(query|key|value)\.", ("query", "key", "value"), ".in_proj_", skip="text_backbone")
    tensors = library_names(published(weights, [*norms, *DINO_NAMES]), "file")
    config = sizes(tensors, {}, "file")
    found = empty(lambda: GroundingDinoForObjectDetection(config))
    assert shapes(found.state_dict()) == shapes(full.state_dict()) == shapes(tensors)
    assert (config.backbone_config.depths, config.backbone_config.num_heads) == ([2, 2, 6, 2], [3, 6, 12, 24])
    assert (config.backbone_config.window_size, config.backbone_config.out_indices) == (7, [2, 3, 4])
    assert (config.num_queries, config.text_config.num_attention_heads) == (900, 12)
    assert (config.encoder_n_points, config.decoder_n_points, config.num_feature_levels) == (4, 4, 4)
