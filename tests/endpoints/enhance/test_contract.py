"""The fields of ``image-enhance`` (api.md §2.10), in both dialects."""

from __future__ import annotations

from typing import Any

import pytest

from fooocus_engine.endpoints.dialects import as_written, canonical
from fooocus_engine.endpoints.enhance.contract import EnhanceRequest, Order, Words
from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.errors import InvalidRequest
from fooocus_engine.settings import Settings
from tests.endpoints.asking import STYLES

IMAGE = "aGVsbG8="
FACE = {"enhance_enabled": True}


def asked(**fields: Any) -> EnhanceRequest:
    given = {"endpoint": "image-enhance", "enhance_input_image": IMAGE, **fields}
    try:
        return validate_generation(
            canonical(given).fields,
            EnhanceRequest,
            default_preset=preset_named("default"),
            styles=STYLES,
            limits=Settings(),
        )
    except InvalidRequest as error:
        raise InvalidRequest(as_written("image-enhance", given, error.problems)) from error


def places(**fields: Any) -> list[tuple[str | int, ...]]:
    with pytest.raises(InvalidRequest) as error:
        asked(**fields)
    return [problem.loc[1:] for problem in error.value.problems]


def test_the_default_request_is_a_strong_variation():
    request = asked()
    assert request.enhance_uov_method == "Vary (Strong)"
    assert request.enhance_uov_processing_order is Order.BEFORE
    assert request.enhance_uov_prompt_type is Words.ORIGINAL
    assert request.save_final_enhanced_image_only and request.enhance_checkbox
    assert request.enhance_ctrlnets == ()


def test_a_control_has_the_documented_defaults():
    (control,) = asked(enhance_ctrlnets=[{}]).enhance_ctrlnets
    assert control.model_dump() == {
        "enhance_enabled": False,
        "enhance_mask_dino_prompt": "face",
        "enhance_prompt": "",
        "enhance_negative_prompt": "",
        "enhance_mask_model": "sam",
        "enhance_mask_cloth_category": "full",
        "enhance_mask_sam_model": "vit_b",
        "enhance_mask_text_threshold": 0.25,
        "enhance_mask_box_threshold": 0.3,
        "enhance_mask_sam_max_detections": 0,
        "enhance_inpaint_disable_initial_latent": False,
        "enhance_inpaint_engine": None,
        "enhance_inpaint_strength": 1.0,
        "enhance_inpaint_respective_field": 0.618,
        "enhance_inpaint_erode_or_dilate": 0,
        "enhance_mask_invert": False,
    }


def test_controls_may_be_text_and_hold_empty_values():
    text = '[{"enhance_enabled": "true", "enhance_mask_box_threshold": "", "enhance_inpaint_strength": null}]'
    (control,) = asked(enhance_ctrlnets=text).enhance_ctrlnets
    assert control.enhance_enabled and control.enhance_mask_box_threshold == 0.3
    assert control.enhance_inpaint_strength == 1.0


def test_a_form_spells_its_controls_one_by_one():
    first, second, third = asked(
        enhance_enabled_1="True", enhance_mask_dino_prompt_1="eyes", enhance_prompt_1="blue eyes",
        enhance_mask_model_2="u2net", enhance_enabled_2="true", enhance_inpaint_erode_or_dilate_2="-3.9",
        enhance_mask_box_threshold_1="",
    ).enhance_ctrlnets  # fmt: skip
    assert (first.enhance_mask_dino_prompt, first.enhance_prompt) == ("eyes", "blue eyes")
    assert first.enhance_mask_box_threshold == 0.3
    assert (second.enhance_mask_model, second.enhance_inpaint_erode_or_dilate) == ("u2net", -3)
    assert not third.enhance_enabled and third.enhance_mask_dino_prompt == ""


def test_the_list_wins_over_the_form_which_is_told_as_ignored():
    given = {"endpoint": "image-enhance", "enhance_ctrlnets": [FACE], "enhance_enabled_2": True}
    read = canonical(given)
    assert read.ignored == ("enhance_enabled_2",)
    assert read.fields["enhance_ctrlnets"] == [FACE]


def test_a_method_may_be_in_any_case_and_off_with_a_control():
    request = asked(enhance_uov_method="disabled", enhance_ctrlnets=[FACE])
    assert request.enhance_uov_method == "Disabled"


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"enhance_input_image": ""}, ("enhance_input_image",)),
        ({"enhance_uov_method": "Sharpen"}, ("enhance_uov_method",)),
        ({"enhance_uov_method": "Upscale (Custom)"}, ("enhance_uov_method",)),
        ({"enhance_uov_processing_order": "Later"}, ("enhance_uov_processing_order",)),
        ({"enhance_uov_prompt_type": "Mine"}, ("enhance_uov_prompt_type",)),
        ({"save_final_enhanced_image_only": "perhaps"}, ("save_final_enhanced_image_only",)),
        ({"enhance_ctrlnets": [FACE] * 4}, ("enhance_ctrlnets",)),
        ({"enhance_ctrlnets": "abc"}, ("enhance_ctrlnets",)),
        ({"enhance_ctrlnets": [3]}, ("enhance_ctrlnets", 0)),
        ({"enhance_uov_method": "Disabled"}, ("enhance_ctrlnets",)),
        ({"enhance_uov_method": "Disabled", "enhance_ctrlnets": [{}]}, ("enhance_ctrlnets",)),
        *(
            ({"enhance_ctrlnets": [{}, {"enhance_enabled": True, name: value}]}, ("enhance_ctrlnets", 1, name))
            for name, value in (
                ("enhance_mask_dino_prompt", " "), ("enhance_mask_model", "u3net"),
                ("enhance_mask_cloth_category", "hat"), ("enhance_mask_sam_model", "vit_x"),
                ("enhance_mask_text_threshold", 1.1), ("enhance_mask_box_threshold", -0.1),
                ("enhance_mask_sam_max_detections", 11), ("enhance_inpaint_engine", "v3"),
                ("enhance_inpaint_strength", 2), ("enhance_inpaint_respective_field", "wide"),
                ("enhance_inpaint_erode_or_dilate", 64.5), ("enhance_enabled", "perhaps"),
            )
        ),
        ({"enhance_enabled_2": True}, ("enhance_mask_dino_prompt_2",)),
        ({"enhance_enabled_3": 1, "enhance_mask_model_3": "x"}, ("enhance_mask_model_3",)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_the_clients_own_field(fields, place):
    assert places(**fields) == [place]
