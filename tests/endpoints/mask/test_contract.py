"""The fields of ``generate-mask`` (api.md §2.12), and which files a search takes."""

from __future__ import annotations

from typing import Any

import pytest

from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.mask.contract import MaskRequest
from fooocus_engine.endpoints.mask.settings import MASK_MODELS, MaskSettings, files_of
from fooocus_engine.endpoints.problems import validated
from fooocus_engine.errors import InvalidRequest


def asked(**fields: Any) -> MaskRequest:
    return validated(MaskRequest, canonical({"endpoint": "generate_mask", "image": "x", **fields}).fields)


def test_the_documented_defaults_hold():
    assert asked().settings == MaskSettings("isnet-general-use", "full", "", "vit_b", 0.3, 0, 0, False)
    assert asked(mask_model=None, box_threshold="", dino_prompt_text=None) == asked()


def test_the_documented_models_are_known():
    assert set(MASK_MODELS) == {
        "u2net", "u2netp", "u2net_human_seg", "u2net_cloth_seg", "silueta", "isnet-general-use", "isnet-anime", "sam",
    }  # fmt: skip


def test_a_number_of_pixels_loses_its_fraction():
    assert asked(dino_erode_or_dilate=-3.9).settings.grow == -3
    assert asked(dino_erode_or_dilate="63.9").settings.grow == 63


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (MaskSettings("u2netp"), ["u2netp.onnx"]),
        (MaskSettings("sam"), ["groundingdino_swint_ogc.pth", "vocab.txt", "sam_vit_b_01ec64.pth"]),
        (MaskSettings("sam", segmenter="vit_h"), ["groundingdino_swint_ogc.pth", "vocab.txt", "sam_vit_h_4b8939.pth"]),
        (MaskSettings("sam", boxes_only=True), ["groundingdino_swint_ogc.pth", "vocab.txt"]),
    ],
)
def test_a_search_takes_only_the_files_it_needs(settings, names):
    assert [name for _, name in files_of(settings)] == names


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"image": ""}, "image"), ({"image": None}, "image"), ({"mask_model": "u3net"}, "mask_model"),
        ({"mask_model": "SAM"}, "mask_model"), ({"mask_model": "sam"}, "dino_prompt_text"),
        ({"mask_model": "sam", "dino_prompt_text": "  "}, "dino_prompt_text"),
        ({"cloth_category": "hat"}, "cloth_category"),
        ({"sam_model": "vit_x"}, "sam_model"), ({"box_threshold": 1.5}, "box_threshold"),
        ({"box_threshold": -0.1}, "box_threshold"), ({"text_threshold": "high"}, "text_threshold"),
        ({"sam_max_detections": 11}, "sam_max_detections"), ({"sam_max_detections": 1.5}, "sam_max_detections"),
        ({"dino_erode_or_dilate": 65}, "dino_erode_or_dilate"), ({"dino_debug": "perhaps"}, "dino_debug"),
        ({"dino_prompt_text": 3}, "dino_prompt_text"), ({"dino_prompt_text": "\ud800"}, "dino_prompt_text"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_field(fields, place):
    with pytest.raises(InvalidRequest) as error:
        asked(**fields)
    assert [problem.loc for problem in error.value.problems] == [("body", place)]
