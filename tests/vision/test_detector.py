"""Boxes of named things: published names, sizes, preparation, thresholds and order."""

from __future__ import annotations

import pytest
import torch
from transformers.models.swin.modeling_swin import SwinRelativePositionBias

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.vision.detector import (
    Detector,
    PixelBox,
    caption_of,
    fitted,
    pixel_box,
    prepared,
    window_index,
)
from tests.pictures import plain, textured
from tests.vision.tiny_networks import detector

FILE, VOCABULARY = "inpaint/groundingdino_swint_ogc.pth", "bert_tokenizer/vocab.txt"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loaded(models) -> Detector:
    return Detector.load(models / FILE, models / VOCABULARY, CPU)


def test_every_weight_and_every_buffer_finds_its_place(loaded):
    expected, found = detector(), loaded.network
    state = found.state_dict()
    assert all(torch.equal(state[n], t) for n, t in expected.state_dict().items() if "swin.layernorm" not in n)
    buffers = dict(found.named_buffers(remove_duplicate=False))
    assert all(torch.equal(buffers[name], buffer) for name, buffer in expected.named_buffers())


def test_the_published_file_has_the_published_names(models):
    names = set(torch.load(models / FILE, weights_only=True)["model"])
    assert {
        "module.transformer.level_embed", "module.transformer.encoder.layers.0.self_attn.sampling_offsets.weight",
        "module.transformer.encoder.text_layers.0.self_attn.in_proj_weight",
        "module.transformer.encoder.fusion_layers.0.gamma_v",
        "module.transformer.encoder.fusion_layers.0.attn.values_l_proj.bias",
        "module.transformer.decoder.layers.1.ca_text.in_proj_bias",
        "module.transformer.decoder.layers.1.catext_norm.weight",
        "module.transformer.decoder.layers.0.cross_attn.output_proj.bias",
        "module.backbone.0.layers.1.blocks.1.attn.qkv.weight", "module.backbone.0.norm1.weight",
        "module.backbone.0.layers.0.downsample.reduction.weight",
        "module.backbone.0.layers.0.blocks.0.attn.relative_position_bias_table",
        "module.bert.encoder.layer.0.attention.self.query.weight", "module.feat_map.weight",
        "module.input_proj.2.0.weight", "module.transformer.tgt_embed.weight",
        "module.transformer.enc_output_norm.bias", "module.transformer.enc_out_bbox_embed.layers.2.bias",
        "module.bbox_embed.1.layers.0.weight", "module.transformer.decoder.bbox_embed.0.layers.1.weight",
        "module.transformer.decoder.ref_point_head.layers.0.weight", "module.transformer.decoder.norm.weight",
    } <= names  # fmt: skip


@pytest.mark.parametrize("side", [1, 5, 7])
def test_windows_are_indexed_as_by_the_library(side):
    assert torch.equal(window_index(side), SwinRelativePositionBias(1, (side, side)).relative_position_index)


@pytest.mark.parametrize(("given", "made"), [("Face", "face."), (" a cat. dog.", "a cat. dog."), ("x .", "x .")])
def test_words_end_with_a_stop(given, made):
    assert caption_of(given) == made


@pytest.mark.parametrize(
    ("size", "made"),
    [
        ((800, 800), (800, 800)), ((1000, 500), (1332, 666)), ((500, 1000), (666, 1332)), ((640, 480), (1066, 800)),
        ((1152, 896), (1028, 800)), ((3000, 300), (1330, 133)),
    ],
)  # fmt: skip
def test_the_shorter_side_is_800_unless_the_longer_one_grows_too_long(size, made):
    assert fitted(size) == made


def test_colours_are_in_their_order_unless_swapped():
    right, swapped = prepared(plain((8, 8), (255, 0, 51))), prepared(plain((8, 8), (51, 0, 255)), blue_first=True)
    assert torch.equal(right, swapped)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.2 - 0.406) / 0.225]
    assert right[0, :, 0, 0].tolist() == pytest.approx(expected)


def test_a_box_is_told_by_its_corners_and_grows_without_a_limit():
    box = pixel_box([0.5, 0.25, 0.5, 0.5], (200, 100))
    assert box == PixelBox(50, 0, 150, 50)
    assert box.grown(7) == PixelBox(43, -7, 157, 57)
    assert box.grown(-7) == PixelBox(57, 7, 143, 43)


def test_a_higher_threshold_leaves_a_part_in_the_same_order(loaded):
    image = textured((90, 60))
    every = loaded.boxes(image, "cat", 0.0)
    assert len(every) == 12  # the tiny network's queries
    some = loaded.boxes(image, "cat", sorted(scores(loaded, image))[6])
    assert 0 < len(some) < 12
    assert some == [box for box in every if box in some]
    assert loaded.boxes(image, "cat", 1.0) == []


def scores(loaded: Detector, image) -> list[float]:
    tokens = torch.tensor([loaded.vocabulary.encode("cat.").ids])
    with torch.no_grad():
        seen = loaded.network(pixel_values=prepared(image), input_ids=tokens)
    return seen.logits[0].sigmoid().amax(-1).tolist()


def test_more_words_than_the_network_reads_are_cut(loaded):
    assert len(loaded.boxes(plain((16, 16)), "cat . " * 200, 0.0)) == 12


def test_what_cannot_be_used_is_refused(models, tmp_path):
    with pytest.raises(ModelUnavailable, match=r"'none\.pth'"):
        Detector.load(tmp_path / "none.pth", models / VOCABULARY, CPU)
    torch.save({"model": {"module.other": torch.zeros(1)}}, tmp_path / "other.pth")
    with pytest.raises(BadModelFile, match=r"other\.pth: the detector lacks"):
        Detector.load(tmp_path / "other.pth", models / VOCABULARY, CPU)
    whole = torch.load(models / FILE, weights_only=True)["model"]
    del whole["module.feat_map.bias"]
    torch.save({"model": whole}, tmp_path / "part.pth")
    with pytest.raises(BadModelFile, match=r"model\.text_projection\.bias"):
        Detector.load(tmp_path / "part.pth", models / VOCABULARY, CPU)
