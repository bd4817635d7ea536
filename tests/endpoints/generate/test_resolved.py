"""What a reply tells as ``params``, and that it makes the same picture again."""

from dataclasses import replace

import pytest

from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.performance import Performance
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.resolved import resolved_parameters
from fooocus_engine.settings import Settings
from tests.endpoints.asking import WORDS, with_files

FILES = (
    "checkpoints/juggernautXL_v8Rundiffusion.safetensors", "checkpoints/refiner.safetensors", "vae/other.safetensors",
    "loras/a.safetensors", "loras/b.safetensors", "loras/sdxl_lcm_lora.safetensors",
    "loras/sdxl_lightning_4step_lora.safetensors", "loras/sdxl_hyper_sd_4step_lora.safetensors",
)  # fmt: skip
ASKED = {
    "prompt": "a cat <lora:b:7>",
    "image_seed": 5,
    "style_selections": ["Fooocus V2", "Random Style"],
    "loras": [["a.safetensors", 0.5], ["sdxl_lcm_lora.safetensors", 0.25], [False, "b.safetensors", 1]],
    "refiner_model_name": "refiner.safetensors",
    "refiner_switch": 0.4,
    "guidance_scale": 9,
    "sharpness": 8,
    "advanced_params": {
        "sampler_name": "heun", "scheduler_name": "normal", "adaptive_cfg": 3, "adm_scaler_end": 0.9,
        "vae_name": "other.safetensors", "overwrite_step": 6, "overwrite_width": 100, "freeu_enabled": True,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return with_files(tmp_path_factory.mktemp("models"), FILES)


def planned(fields, catalogue, preset="default"):
    """The plan of ``fields`` on a server that runs ``preset``, and its parameters."""
    request = validate_generation(
        canonical({"endpoint": "text-to-image", **fields}).fields,
        default_preset=preset_named(preset),
        styles=WORDS.styles.legal_names(),
        limits=Settings(),
    )
    plan = plan_generation(request, catalogue, WORDS, max_loras=5)
    return plan, resolved_parameters(request, plan)


@pytest.mark.parametrize("performance", list(Performance))
@pytest.mark.parametrize("fields", [ASKED, {"image_seed": 7, "prompt": "a cat"}], ids=["asked", "defaults"])
def test_parameters_come_down_to_the_same_plan_whatever_the_servers_preset(installed, fields, performance):
    plan, parameters = planned(fields | {"performance_selection": performance}, installed)
    again, same = planned(parameters, installed, preset="pony_v6")
    assert replace(again, warnings=()) == replace(plan, warnings=())
    assert same == parameters


@pytest.mark.parametrize("performance", [Performance.EXTREME_SPEED, Performance.LIGHTNING, Performance.HYPER_SD])
def test_parameters_tell_what_a_distilled_mode_forces(installed, performance):
    plan, parameters = planned(ASKED | {"performance_selection": performance}, installed)
    advanced = parameters["advanced_params"]
    assert (parameters["guidance_scale"], parameters["sharpness"], parameters["refiner_switch"]) == (1.0, 0.0, 1.0)
    assert parameters["refiner_model_name"] == "None"
    assert (advanced["sampler_name"], advanced["scheduler_name"]) == (plan.sampling.sampler, plan.sampling.scheduler)
    assert [advanced[f"adm_scaler_{name}"] for name in ("positive", "negative", "end")] == [1.0, 1.0, 0.0]
    assert advanced["adaptive_cfg"] == 1.0
    assert advanced["vae_name"] == "other.safetensors"


def test_loras_that_the_server_adds_by_itself_are_left_to_it(installed):
    plan, parameters = planned(ASKED | {"performance_selection": "Extreme Speed"}, installed)
    assert [(lora["model_name"], lora["weight"]) for lora in parameters["loras"]] == [
        ("a.safetensors", 0.5),
        ("sdxl_lcm_lora.safetensors", 0.25),
    ]
    assert plan.models.loras[2:] == (("b.safetensors", 7.0), ("sdxl_lcm_lora.safetensors", 1.0))


def test_what_is_not_installed_is_not_among_the_parameters(installed):
    _, parameters = planned({"image_seed": 1, "prompt": "a cat"}, installed)
    assert parameters["loras"] == []
    assert parameters["style_selections"] == ["Fooocus Enhance", "Fooocus Sharp"]


def test_the_shipped_model_is_told_by_its_own_name(tmp_path):
    catalogue = with_files(tmp_path, ["prompt_expansion/fooocus_expansion/pytorch_model.bin"])
    _, parameters = planned({"image_seed": 1, "prompt": "a cat"}, catalogue)
    assert parameters["base_model_name"] == "starter_sdxl.safetensors"
    assert parameters["style_selections"][0] == "Fooocus V2"
    assert parameters["advanced_params"]["vae_name"] == "Default (model)"
