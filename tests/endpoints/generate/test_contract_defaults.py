"""Where a request's values come from: the client, its preset, the server's (api.md §2.2, models.md §3)."""

import pytest

from fooocus_engine.endpoints.generate.performance import Performance
from fooocus_engine.endpoints.generate.presets import presets
from tests.endpoints.asking import asked

LORA = "sd_xl_offset_example-lora_1.0.safetensors"


def test_no_fields_at_all_give_the_documented_defaults():
    request = asked({})
    assert request.style_selections == ("Fooocus V2", "Fooocus Enhance", "Fooocus Sharp")
    assert request.performance_selection is Performance.SPEED
    assert (request.sharpness, request.guidance_scale, request.refiner_switch) == (2.0, 4.0, 0.5)
    assert (request.base_model_name, request.refiner_model_name) == ("juggernautXL_v8Rundiffusion.safetensors", "None")
    assert [(lora.enabled, lora.model_name, lora.weight) for lora in request.loras] == [(True, LORA, 0.1)]
    assert (request.save_meta, request.meta_scheme, request.save_extension, request.save_name) == (
        True,
        "fooocus",
        "png",
        "",
    )
    assert (request.image_number, request.image_seed, request.aspect_ratios_selection) == (1, -1, "1152*896")
    assert not (request.require_base64 or request.async_process or request.read_wildcards_in_order)
    assert request.given == frozenset()


@pytest.mark.parametrize("name", list(presets()))
def test_every_preset_gives_a_valid_request(name):
    request, preset = asked({}, preset=name), presets()[name]
    assert request.preset == name
    for field, value in preset.request_defaults().items():
        if field != "loras":
            assert getattr(request, field) == value
    assert tuple((lora.model_name, lora.weight) for lora in request.loras) == preset.loras
    for field, value in preset.advanced_defaults().items():
        assert getattr(request.advanced_params, field) == value


def test_the_preset_of_the_request_beats_the_servers_and_its_fields_beat_both():
    request = asked({"preset": "anime", "guidance_scale": 5, "advanced_params": {"clip_skip": 1}}, preset="sai")
    assert request.preset == "anime"
    assert request.base_model_name == "animaPencilXL_v500.safetensors"
    assert (request.guidance_scale, request.advanced_params.clip_skip) == (5.0, 1)
    assert request.given == {"preset", "guidance_scale", "advanced_params", "advanced_params.clip_skip"}


def test_initial_is_another_name_of_the_default_preset():
    assert asked({"preset": "initial"}, preset="anime").preset == "default"


def test_default_sampler_means_the_presets_own():
    advanced = {"sampler_name": "default_sampler", "scheduler_name": "default_scheduler"}
    params = asked({"preset": "playground_v2.5", "advanced_params": advanced}).advanced_params
    assert (params.sampler_name, params.scheduler_name) == ("dpmpp_2m", "edm_playground_v2.5")


def test_model_names_that_the_client_gave_are_known_afterwards():
    fields = {"base_model_name": "a.safetensors", "loras": [], "advanced_params": {"vae_name": "v.safetensors"}}
    assert {"base_model_name", "loras", "advanced_params.vae_name"} <= asked(fields).given
    assert not {"base_model_name", "refiner_model_name", "loras"} & asked({"base_model_name": "None"}).given
