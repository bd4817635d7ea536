"""Tiny random networks that look at pictures, in the file formats and under the names of the published ones.

    python -m tests.vision.tiny_networks MODELS_DIR

writes all of them where the catalogue expects the real ones. Names are turned from transformers' into the published
ones here, by rules that are written down separately from those that read them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
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

from fooocus_engine.models.vision_tower import new_network

Names = Sequence[tuple[str, str]]
WORDS = 1100  # word pieces; real ids of the marks lie below
MARKS = {0: "[PAD]", 100: "[UNK]", 101: "[CLS]", 102: "[SEP]", 103: "[MASK]", 1012: ".", 1029: "?"}
PLAIN = {1037: "a", 1038: "picture", 1039: "of", 1040: "cat", 1041: "face", 1042: "dog", 1043: "##s", 1044: ","}
OPSET, IR = 17, 9
REMBG = ("u2net", "u2netp", "u2net_human_seg", "silueta", "isnet-general-use", "isnet-anime")
TAGS = (
    ("general", "9"), ("explicit", "9"), ("1girl", "0"), ("solo_(focus)", "0"), (":d", "0"), ("^_^", "0"),
    ("hatsune_miku", "4"), ("saber_(fate)", "4"),
)  # fmt: skip
TAG_SIDE = 448
SAM_SIDE = 64


def main(folder: Path) -> None:
    """Write all of them."""
    inpaint, vision = folder / "inpaint", folder / "clip_vision"
    for each in (inpaint, vision, folder / "sam", folder / "safety_checker", folder / "bert_tokenizer"):
        each.mkdir(parents=True, exist_ok=True)
    write_vocabulary(folder / "bert_tokenizer" / "vocab.txt")
    for name in REMBG:
        write_brightness(inpaint / f"{name}.onnx")
    write_clothes(inpaint / "u2net_cloth_seg.onnx")
    write_tagger(vision)
    write_captioner(vision / "model_base_caption_capfilt_large.pth")
    write_detector(inpaint / "groundingdino_swint_ogc.pth")
    for name in ("sam_vit_b_01ec64", "sam_vit_l_0b3195", "sam_vit_h_4b8939"):
        write_segmenter(folder / "sam" / f"{name}.pth")
    write_checker(folder / "safety_checker" / "stable-diffusion-safety-checker.bin")


def write_vocabulary(path: Path) -> None:
    """BERT's marks at their real places, a few words, and fillers."""
    known = MARKS | PLAIN
    path.write_text("".join(f"{known.get(n, f'[unused{n}]')}\n" for n in range(WORDS)), encoding="utf-8")


def write_onnx(path: Path, nodes: Iterable[Any], values: Mapping[str, np.ndarray], shapes: tuple[Any, Any]) -> None:
    """A network from ``x`` to ``y``; ``shapes`` are theirs."""
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip("xy", shapes, strict=True)
    )
    fixed = [numpy_helper.from_array(value, name) for name, value in values.items()]
    graph = helper.make_graph(list(nodes), "tiny", [x], [y], fixed)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR), str(path))


def write_brightness(path: Path) -> None:
    """Puts out how bright each pixel is: the sum of its channels."""
    values = {"w": np.ones((1, 3, 1, 1), np.float32)}
    free = (["b", 3, "h", "w"], ["b", 1, "h", "w"])
    write_onnx(path, [helper.make_node("Conv", ["x", "w"], ["y"])], values, free)


def write_clothes(path: Path) -> None:
    """Puts out four planes: a little for the background, and the three colours for the three classes."""
    weights = np.zeros((4, 3, 1, 1), np.float32)
    weights[[1, 2, 3], [0, 1, 2]] = 1
    values = {"w": weights, "b": np.array([0.5, 0, 0, 0], np.float32)}
    free = (["b", 3, "h", "w"], ["b", 4, "h", "w"])
    write_onnx(path, [helper.make_node("Conv", ["x", "w", "b"], ["y"])], values, free)


def write_tagger(folder: Path) -> None:
    """A score for each tag by how much one colour of the picture outweighs another, and the list of tags."""
    weights = np.zeros((3, len(TAGS)), np.float32)
    for number in range(len(TAGS)):
        weights[number % 3, number], weights[(number + 1) % 3, number] = 0.05, -0.05
    values = {"w": weights}
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["means"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["means", "w"], ["scores"]),
        helper.make_node("Sigmoid", ["scores"], ["y"]),
    ]
    path = folder / "wd-v1-4-moat-tagger-v2.onnx"
    write_onnx(path, nodes, values, ([1, TAG_SIDE, TAG_SIDE, 3], [1, len(TAGS)]))
    rows = [f"{number},{name},{category},0" for number, (name, category) in enumerate(TAGS)]
    text = "\n".join(["tag_id,name,category,count", *rows]) + "\n"
    path.with_suffix(".csv").write_text(text, encoding="utf-8")


def seeded(make: Callable[[], Any], scale: float = 1.0) -> Any:
    """A network with weights of one seed, in evaluation mode; ``scale`` makes what is small by birth larger."""
    torch.manual_seed(0)
    network = make().eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.randn_like(parameter) * scale / max(1, parameter.shape[-1]) ** 0.5)
    return network


def published(weights: Mapping[str, Tensor], names: Names) -> dict[str, Tensor]:
    """``weights`` with the first of ``names`` that fits applied to each name, and all the others after it."""
    made = {}
    for name, tensor in weights.items():
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        made[name] = tensor.clone()
    return made


BLIP_NAMES: Names = (
    ("^vision_model.embeddings.class_embedding", "visual_encoder.cls_token"),
    ("^vision_model.embeddings.position_embedding", "visual_encoder.pos_embed"),
    ("^vision_model.embeddings.patch_embedding", "visual_encoder.patch_embed.proj"),
    ("^vision_model.post_layernorm", "visual_encoder.norm"),
    ("^vision_model.encoder.layers", "visual_encoder.blocks"),
    ("self_attn.projection", "attn.proj"),
    ("self_attn.qkv", "attn.qkv"),
    ("layer_norm", "norm"),
)


def captioner() -> Any:
    text = {"vocab_size": WORDS + 2, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3}
    text |= {"intermediate_size": 32, "max_position_embeddings": 96, "bos_token_id": WORDS, "sep_token_id": 102}
    text |= {"eos_token_id": 102, "pad_token_id": 0, "layer_norm_eps": 1e-12}
    vision = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    vision |= {"image_size": 32, "patch_size": 8, "layer_norm_eps": 1e-6}
    return seeded(lambda: BlipForConditionalGeneration(BlipConfig(text_config=text, vision_config=vision)), 3.0)


def write_captioner(path: Path) -> None:
    """BLIP, and what its tensors cannot tell."""
    weights = published(captioner().state_dict(), BLIP_NAMES)
    torch.save({"model": weights, "epoch": 3}, path)
    write_told(path, "caption.json", {"text_heads": 3, "vision_heads": 2})


SAM_NAMES: Names = (
    ("^vision_encoder.patch_embed.projection", "image_encoder.patch_embed.proj"),
    ("^vision_encoder.layers", "image_encoder.blocks"),
    ("^vision_encoder.neck.conv1", "image_encoder.neck.0"),
    ("^vision_encoder.neck.layer_norm1", "image_encoder.neck.1"),
    ("^vision_encoder.neck.conv2", "image_encoder.neck.2"),
    ("^vision_encoder.neck.layer_norm2", "image_encoder.neck.3"),
    ("^vision_encoder", "image_encoder"),
    ("shared_embedding.positional_embedding", "pe_layer.positional_encoding_gaussian_matrix"),
    ("encoder.point_embed\\.", "encoder.point_embeddings."),
    ("mask_embed.conv1", "mask_downscaling.0"),
    ("mask_embed.layer_norm1", "mask_downscaling.1"),
    ("mask_embed.conv2", "mask_downscaling.3"),
    ("mask_embed.layer_norm2", "mask_downscaling.4"),
    ("mask_embed.conv3", "mask_downscaling.6"),
    ("upscale_conv1", "output_upscaling.0"),
    ("upscale_layer_norm", "output_upscaling.1"),
    ("upscale_conv2", "output_upscaling.3"),
    ("(output_hypernetworks_mlps.[0-9]+|iou_prediction_head).layers.0", "\\1.layers.1"),
    ("proj_in", "layers.0"),
    ("proj_out", "layers.2"),
    ("layer_norm", "norm"),
)


def segmenter() -> Any:
    image = {"image_size": SAM_SIDE, "patch_size": 8}
    vision = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "output_channels": 16}
    vision |= {"window_size": 3, "global_attn_indexes": [1], "num_pos_feats": 8, "mlp_dim": 24}
    decoder = {"hidden_size": 16, "num_attention_heads": 2, "mlp_dim": 32, "iou_head_hidden_dim": 12}
    config = SamConfig(
        vision_config=image | vision,
        prompt_encoder_config=image | {"hidden_size": 16, "mask_input_channels": 16},
        mask_decoder_config=decoder,
    )
    return seeded(lambda: SamModel(config))


def write_segmenter(path: Path) -> None:
    """SAM, and what its tensors cannot tell."""
    weights = published(segmenter().state_dict(), SAM_NAMES)
    del weights["shared_image_embedding.positional_embedding"]
    torch.save(weights, path)
    write_told(path, "sam.json", {"decoder_heads": 2})


DINO_NAMES: Names = (
    ("^model.backbone.conv_encoder.model.swin.embeddings.patch_embeddings.projection", "backbone.0.patch_embed.proj"),
    ("^model.backbone.conv_encoder.model.swin.embeddings.norm", "backbone.0.patch_embed.norm"),
    ("^model.backbone.conv_encoder.model.swin.encoder", "backbone.0"),
    ("^model.backbone.conv_encoder.model.hidden_states_norms.stage1", "backbone.0.norm0"),
    ("^model.backbone.conv_encoder.model.hidden_states_norms.stage2", "backbone.0.norm1"),
    ("layernorm_before", "norm1"),
    ("layernorm_after", "norm2"),
    ("attention.o_proj", "attn.proj"),
    ("attention.relative_position_bias", "attn"),
    ("attention.qkv", "attn.qkv"),
    ("^model.text_backbone", "bert"),
    ("^model.text_projection", "feat_map"),
    ("^model.input_proj_vision", "input_proj"),
    ("^model.query_position_embeddings", "transformer.tgt_embed"),
    ("^model.encoder_output_bbox_embed", "transformer.enc_out_bbox_embed"),
    ("^model.decoder.reference_points_head", "transformer.decoder.ref_point_head"),
    ("^model.decoder.layer_norm", "transformer.decoder.norm"),
    ("^model.encoder.layers.([0-9]+).text_enhancer_layer.layer_norm_before", "model.encoder.text_layers.\\1.norm1"),
    ("^model.encoder.layers.([0-9]+).text_enhancer_layer.layer_norm_after", "model.encoder.text_layers.\\1.norm2"),
    ("^model.encoder.layers.([0-9]+).text_enhancer_layer", "model.encoder.text_layers.\\1"),
    ("^model.encoder.layers.([0-9]+).fusion_layer", "model.encoder.fusion_layers.\\1"),
    ("^model.encoder.layers.([0-9]+).deformable_layer.self_attn_layer_norm", "model.encoder.layers.\\1.norm1"),
    ("^model.encoder.layers.([0-9]+).deformable_layer.final_layer_norm", "model.encoder.layers.\\1.norm2"),
    ("^model.encoder.layers.([0-9]+).deformable_layer", "model.encoder.layers.\\1"),
    ("vision_param", "gamma_v"),
    ("text_param", "gamma_l"),
    ("layer_norm_vision", "layer_norm_v"),
    ("layer_norm_text", "layer_norm_l"),
    ("vision_proj", "v_proj"),
    ("text_proj", "l_proj"),
    ("encoder_attn_layer_norm", "norm1"),
    ("(decoder.layers.[0-9]+).self_attn_layer_norm", "\\1.norm2"),
    ("(decoder.layers.[0-9]+).final_layer_norm", "\\1.norm3"),
    ("encoder_attn_text_layer_norm", "catext_norm"),
    ("encoder_attn_text", "ca_text"),
    ("encoder_attn", "cross_attn"),
    ("^(model.*)\\.fc([12])", "\\1.linear\\2"),
    ("^model\\.", "transformer."),
    ("^", "module."),
)


def detector() -> Any:
    swin = SwinConfig(embed_dim=8, depths=[1, 2], num_heads=[2, 2], window_size=5, out_indices=[1, 2])
    bert = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    bert.update({"vocab_size": WORDS, "max_position_embeddings": 300})
    config = GroundingDinoConfig(
        backbone_config=swin.to_dict(), text_config=bert.to_dict(), d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_ffn_dim=48, decoder_ffn_dim=40, encoder_attention_heads=4, decoder_attention_heads=4,
        num_feature_levels=3, num_queries=12, encoder_n_points=2, decoder_n_points=3,
    )  # fmt: skip
    return seeded(lambda: GroundingDinoForObjectDetection(config))


def write_detector(path: Path) -> None:
    """GroundingDINO, and what its tensors cannot tell."""
    weights = {name: t for name, t in detector().state_dict().items() if "swin.layernorm" not in name}
    weights = stacked(weights, r"attention\.([qkv])_proj\.", "qkv", "attention.qkv.")
    weights = stacked(weights, r"\.(query|key|value)\.", ("query", "key", "value"), ".in_proj_", skip="text_backbone")
    torch.save({"model": published(weights, DINO_NAMES)}, path)
    write_told(path, "detector.json", {"heads": 4, "text_heads": 2})


def stacked(
    weights: Mapping[str, Tensor], pattern: str, parts: Sequence[str], whole: str, skip: str | None = None
) -> dict[str, Tensor]:
    """``weights`` with queries, keys and values one under another, under the first one's place."""
    made: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        found = None if skip and skip in name else re.search(pattern, name)
        if found is None:
            made[name] = tensor
        elif found[1] == parts[0]:
            others = [name[: found.start(1)] + part + name[found.end(1) :] for part in parts]
            made[re.sub(pattern, whole, name)] = torch.cat([weights[other] for other in others])
    return made


def write_checker(path: Path) -> None:
    """The safety checker: CLIP's vision network and concepts that a picture never meets."""
    config = {"hidden_size": 128, "intermediate_size": 32, "projection_dim": 12, "num_hidden_layers": 1}
    config |= {"num_attention_heads": 2, "image_size": 56, "patch_size": 14, "hidden_act": "quick_gelu"}
    network = seeded(lambda: new_network(config))
    weights = {
        name if name.startswith("visual_projection") else f"vision_model.{name}": tensor
        for name, tensor in network.state_dict().items()
    }
    weights |= {"concept_embeds": torch.randn(17, 12), "concept_embeds_weights": torch.full((17,), 1.5)}
    weights |= {"special_care_embeds": torch.randn(3, 12), "special_care_embeds_weights": torch.full((3,), 1.5)}
    torch.save(weights, path)


def write_told(weights: Path, name: str, content: Mapping[str, Any]) -> None:
    """A file of the companion folder."""
    folder = weights.with_suffix("")
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
