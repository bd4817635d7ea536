"""Outlines in boxes: published names, sizes, preparation, and what becomes of the network's planes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.vision.detector import PixelBox
from fooocus_engine.vision.segment import AT_ONCE, Segmenter, fitted, prepared
from tests.pictures import plain, textured
from tests.vision.tiny_networks import SAM_SIDE, segmenter

FILE = "sam/sam_vit_b_01ec64.pth"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def loaded(models) -> Segmenter:
    return Segmenter.load(models / FILE, CPU)


def test_every_weight_finds_its_place(loaded):
    found, expected = loaded.network.state_dict(), segmenter().state_dict()
    for name, tensor in expected.items():
        source = name.replace("shared_image_embedding", "prompt_encoder.shared_embedding")
        assert torch.equal(found[name], expected[source] if source != name else tensor)


def test_the_published_file_has_the_published_names(models):
    names = set(torch.load(models / FILE, weights_only=True))
    assert {
        "image_encoder.pos_embed", "image_encoder.blocks.1.attn.rel_pos_h", "image_encoder.neck.3.weight",
        "image_encoder.blocks.0.mlp.lin1.weight", "image_encoder.blocks.0.norm1.weight",
        "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", "prompt_encoder.point_embeddings.3.weight",
        "prompt_encoder.mask_downscaling.6.bias", "mask_decoder.output_upscaling.3.weight",
        "mask_decoder.output_hypernetworks_mlps.3.layers.2.weight", "mask_decoder.iou_prediction_head.layers.1.bias",
        "mask_decoder.transformer.layers.1.cross_attn_image_to_token.q_proj.weight",
        "mask_decoder.transformer.norm_final_attn.weight", "prompt_encoder.not_a_point_embed.weight",
    } <= names  # fmt: skip


@pytest.mark.parametrize(
    ("size", "made"),
    [((640, 480), (1024, 768)), ((333, 1000), (341, 1024)), ((1024, 1), (1024, 1)), ((8, 8), (1024, 1024))],
)
def test_the_longer_side_is_fitted_and_the_other_rounded(size, made):
    assert fitted(size, 1024) == made


def test_a_picture_is_followed_by_zeros():
    values = prepared(plain((20, 10), (255, 0, 100)), 16)
    assert values.shape == (1, 3, 16, 16)
    assert not values[:, :, 8:].any()
    expected = [(255 - 123.675) / 58.395, (0 - 116.28) / 57.12, (100 - 103.53) / 57.375]
    assert values[0, :, 0, 0].tolist() == pytest.approx(expected)


def test_a_mask_is_what_the_network_says_of_its_box(loaded):
    image, box = textured((80, 40)), PixelBox(10, 5, 60, 30)
    (mask,) = loaded.masks(image, [box])
    scaled = torch.tensor([[[10, 5, 60, 30]]]) * (SAM_SIDE / 80)
    with torch.no_grad():
        made = segmenter()(pixel_values=prepared(image, SAM_SIDE), input_boxes=scaled, multimask_output=False)
    square = F.interpolate(made.pred_masks[0], (SAM_SIDE, SAM_SIDE), mode="bilinear", align_corners=False)
    expected = F.interpolate(square[..., : SAM_SIDE // 2, :], (40, 80), mode="bilinear", align_corners=False)[0, 0] > 0
    assert mask.shape == (40, 80)
    assert (mask == expected.numpy()).mean() > 0.99  # sums in another order


def test_many_boxes_give_as_many_masks_in_their_order(loaded):
    image = textured((50, 50))
    boxes = [PixelBox(n, n, n + 12, n + 9) for n in range(AT_ONCE + 3)]
    masks = list(loaded.masks(image, boxes))
    assert len(masks) == len(boxes)
    (alone,) = loaded.masks(image, boxes[-1:])
    assert (masks[-1] == alone).mean() > 0.99
    assert any(not np.array_equal(masks[0], mask) for mask in masks)


def test_no_boxes_give_no_masks(loaded):
    assert list(loaded.masks(plain(), [])) == []


def test_what_cannot_be_used_is_refused(models, tmp_path):
    with pytest.raises(ModelUnavailable, match=r"'none\.pth'"):
        Segmenter.load(tmp_path / "none.pth", CPU)
    torch.save({"image_encoder.pos_embed": torch.zeros(1, 2, 2, 3)}, tmp_path / "part.pth")
    with pytest.raises(BadModelFile, match=r"part\.pth: the segmenter lacks"):
        Segmenter.load(tmp_path / "part.pth", CPU)
