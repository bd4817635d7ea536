"""The documented text-to-image requests (examples.md §1, §9, §10), as data: what they mean after normalising."""

from typing import Any

import pytest

from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.generate.performance import Performance
from tests.endpoints.asking import asked, places

LORA = "sd_xl_offset_example-lora_1.0.safetensors"
MEANT: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"prompt": "a girl resting on a meadow", "async_process": True}, {"async_process": True}),
    (
        {"prompt": "a cat", "performance_selection": "Lightning", "aspect_ratios_selection": "896*1152"},
        {"performance_selection": Performance.LIGHTNING, "aspect_ratios_selection": "896*1152"},
    ),
    ({}, {"prompt": ""}),
    ({"style": ["SAI Anime", "Fooocus V2"]}, {"style_selections": ("SAI Anime", "Fooocus V2")}),
    ({"image_number": 2, "image_seed": 1234567}, {"image_seed": 1234567, "image_number": 2}),
    ({"image_seed": "9223372036854775807"}, {"image_seed": 9223372036854775807}),
    (
        {"base_model_name": "juggernautXL_version6Rundiffusion.safetensors", "refiner_model_name": "None"},
        {"base_model_name": "juggernautXL_version6Rundiffusion.safetensors", "refiner_model_name": "None"},
    ),
    ({"loras": [], "style_selections": []}, {"loras": (), "style_selections": ()}),
    ({"advanced_params": None, "webhook_url": None}, {"webhook_url": ""}),
    ({"require_base64": True, "save_extension": "jpg"}, {"require_base64": True, "save_extension": "jpg"}),
    ({"save_extension": "webp", "save_name": "harbour study", "image_number": 2}, {"save_name": "harbour study"}),
    ({"read_wildcards_in_order": True, "meta_scheme": "fooocus"}, {"read_wildcards_in_order": True}),
    ({"meta_scheme": "a111"}, {"meta_scheme": "a1111"}),
    ({"webhook_url": "http://127.0.0.1:9/status"}, {"webhook_url": "http://127.0.0.1:9/status"}),
    (
        {"style_selections": "SAI Anime, Fooocus V2", "image_number": "1", "async_process": "false"},
        {"style_selections": ("SAI Anime", "Fooocus V2"), "image_number": 1, "async_process": False},
    ),
    ({"aspect_ratios_selection": "1024×1024"}, {"aspect_ratios_selection": "1024*1024"}),
    ({"style_selections": ["Random Style"]}, {"style_selections": ("Random Style",)}),
]


@pytest.mark.parametrize(("fields", "meaning"), MEANT)
def test_a_documented_request_means_what_is_documented(fields, meaning):
    request = asked(fields)
    assert {name: getattr(request, name) for name in meaning} == meaning


@pytest.mark.parametrize(
    ("lora", "meaning"),
    [
        ({"model_name": LORA, "weight": 0.5}, (True, LORA, 0.5)),
        ({"enabled": False, "model_name": LORA, "weight": 1.2}, (False, LORA, 1.2)),
    ],
)
def test_a_documented_lora_means_what_is_documented(lora, meaning):
    (entry,) = asked({"prompt": "boat", "loras": [lora]}).loras
    assert (entry.enabled, entry.model_name, entry.weight) == meaning


@pytest.mark.parametrize(
    "advanced",
    [
        {
            "sampler_name": "default_sampler", "scheduler_name": "default_scheduler", "adm_scaler_end": 0.5,
            "overwrite_step": 12, "overwrite_switch": 8, "inpaint_engine": "v1",
        },
        {
            "sampler_name": "euler_ancestral", "scheduler_name": "exponential", "disable_seed_increment": True,
            "disable_intermediate_results": True, "freeu_enabled": True, "freeu_b1": 1.1,
            "inpaint_mask_upload_checkbox": True, "inpaint_erode_or_dilate": -3,
        },
        {"clip_skip": 1, "vae_name": "Default (model)", "black_out_nsfw": True, "overwrite_switch": 0.6},
    ],
)  # fmt: skip
def test_documented_advanced_params_are_accepted(advanced):
    assert asked({"prompt": "boat", "advanced_params": advanced}).prompt == "boat"


@pytest.mark.parametrize(
    ("body", "endpoint", "fields"),
    [
        (
            {"endpoint": "text-to-image", "prompt": "a boat", "performance_selection": "Lightning", "image_seed": 42},
            "text-to-image",
            {"prompt": "a boat", "performance_selection": "Lightning", "image_seed": 42},
        ),
        ({"endpoint": "styles"}, "styles", {}),
        ({"endpoint": "all-models"}, "all-models", {}),
        (
            {"api_name": "txt2img", "prompt": "a boat", "require_base64": True},
            "text-to-image",
            {"prompt": "a boat", "require_base64": True},
        ),
        ({"prompt": "a boat"}, "text-to-image", {"prompt": "a boat"}),
    ],
)
def test_a_documented_platform_body_is_understood(body, endpoint, fields):
    assert canonical(body) == (endpoint, fields, ())


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"performance_selection": "Fastest"}, ("performance_selection",)),
        ({"image_number": 0}, ("image_number",)),
        ({"image_number": 33}, ("image_number",)),
        ({"image_number": 2.5}, ("image_number",)),
        ({"guidance_scale": 0.5}, ("guidance_scale",)),
        ({"sharpness": 31}, ("sharpness",)),
        ({"refiner_switch": 0.05}, ("refiner_switch",)),
        ({"style_selections": ["No Such Style"]}, ("style_selections", 0)),
        ({"aspect_ratios_selection": "wide"}, ("aspect_ratios_selection",)),
        ({"image_seed": -7}, ("image_seed",)),
        ({"image_seed": 2**63}, ("image_seed",)),
        ({"advanced_params": {"sampler_name": "magic"}}, ("advanced_params", "sampler_name")),
        ({"save_extension": "gif"}, ("save_extension",)),
        ({"meta_scheme": "exif"}, ("meta_scheme",)),
        ({"save_name": "../x"}, ("save_name",)),
        ({"loras": "abc"}, ("loras",)),
        ({"advanced_params": {"canny_low_threshold": 0}}, ("advanced_params", "canny_low_threshold")),
    ],
)
def test_a_request_that_must_be_refused_is_refused_at_the_documented_place(fields, place):
    assert places(fields) == [place]
