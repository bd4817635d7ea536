"""Requests and the plans they come down to, on folders of empty files."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fooocus_engine.endpoints.generate.presets import presets
from fooocus_engine.errors import InvalidRequest, ModelUnavailable
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.sampling.settings import FreeU, GuidanceSettings, RefinerSwap, SamplingSettings
from tests.endpoints.asking import plan, with_files

BASE = "juggernautXL_v8Rundiffusion.safetensors"
STARTER = "starter_sdxl.safetensors"
FILES = (
    f"checkpoints/{BASE}", "checkpoints/refiner.safetensors", "loras/a.safetensors", "loras/b.safetensors",
    "loras/sdxl_lcm_lora.safetensors", "loras/sdxl_hyper_sd_4step_lora.safetensors", "vae/other.safetensors",
)  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return with_files(tmp_path_factory.mktemp("models"), FILES)


def test_the_default_request(installed):
    made = plan(installed, prompt="a cat")
    assert made.models.base == BASE
    assert made.models.loras == ()
    assert made.warnings == (
        "the default LoRA sd_xl_offset_example-lora_1.0.safetensors is not installed; it is left out",
    )
    assert made.size == (1152, 896)
    assert made.sampling == SamplingSettings(steps=30, switch=15)
    assert made.guidance == GuidanceSettings()
    assert [task.positive for task in made.images] == [("a cat",)]


@pytest.mark.parametrize(
    ("mode", "steps", "switch", "sampler", "scheduler", "lora"),
    [
        ("Extreme Speed", 8, 8, "lcm", "lcm", ("sdxl_lcm_lora.safetensors", 1.0)),
        ("Hyper-SD", 4, 4, "dpmpp_sde_gpu", "karras", ("sdxl_hyper_sd_4step_lora.safetensors", 0.8)),
    ],
)
def test_a_distilled_mode_overrides_the_request(installed, mode, steps, switch, sampler, scheduler, lora):
    made = plan(
        installed, performance_selection=mode, refiner_model_name="refiner.safetensors", sharpness=9, guidance_scale=9,
        loras=[["a.safetensors", 0.5]], advanced_params={"sampler_name": "heun", "adm_scaler_end": 0.9},
    )  # fmt: skip
    assert made.models.refiner is None
    assert made.models.loras == (("a.safetensors", 0.5), lora)
    assert made.sampling == SamplingSettings(steps, switch, sampler, scheduler)
    assert made.guidance == GuidanceSettings(1.0, 0.0, 1.0, 1.0, 1.0, 0.0)
    assert made.recorded.refiner_switch == 1.0


def test_a_mode_without_its_lora_names_the_file(installed):
    with pytest.raises(ModelUnavailable, match="sdxl_lightning_4step_lora"):
        plan(installed, performance_selection="Lightning")


@pytest.mark.parametrize(
    ("fields", "advanced", "switch"),
    [
        ({"refiner_switch": 0.75}, {}, 22),  # 22.5, halves to even
        ({"refiner_switch": 0.5}, {"overwrite_step": 10}, 15),  # of the mode's own steps
        ({"refiner_switch": 0.5}, {"overwrite_switch": 4}, 4),
        ({"refiner_switch": 0.5}, {"overwrite_switch": 1}, 1),
        ({"refiner_switch": 0.5}, {"overwrite_switch": 0.1}, 3),
        ({"refiner_switch": 0.5}, {"overwrite_switch": 0}, 15),
        ({"performance_selection": "Quality", "refiner_switch": 0.3}, {}, 18),
    ],
)
def test_the_step_of_the_switch(installed, fields, advanced, switch):
    assert plan(installed, **fields, advanced_params=advanced).sampling.switch == switch


def test_overwritten_values_replace_the_others(installed):
    advanced = {"overwrite_step": 7, "overwrite_width": 200, "refiner_swap_method": "vae", "freeu_enabled": True}
    made = plan(installed, advanced_params=advanced, aspect_ratios_selection="512*768")
    assert made.sampling.steps == 7
    assert made.sampling.swap is RefinerSwap.VAE
    assert made.size == (200, 768)
    assert made.guidance.freeu == FreeU()


def test_the_base_is_no_refiner_of_itself(installed):
    assert plan(installed, refiner_model_name=BASE).models.refiner is None


def test_loras_of_request_prompt_and_mode_follow_each_other(installed):
    made = plan(
        installed, prompt="cat <lora:b:-0.3>", loras=[["a.safetensors", 1.5]], performance_selection="Extreme Speed"
    )
    assert [name for name, _ in made.models.loras] == ["a.safetensors", "b.safetensors", "sdxl_lcm_lora.safetensors"]
    assert made.images[0].positive == ("cat",)


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"base_model_name": "x.safetensors"}, ("body", "base_model_name")),
        ({"refiner_model_name": "x.safetensors"}, ("body", "refiner_model_name")),
        ({"advanced_params": {"vae_name": "x.safetensors"}}, ("body", "advanced_params", "vae_name")),
        ({"loras": [["a.safetensors", 1], ["x.safetensors", 1]]}, ("body", "loras", 1, "model_name")),
    ],
)
def test_a_named_file_must_exist(installed, fields, loc):
    with pytest.raises(InvalidRequest) as refused:
        plan(installed, **fields)
    assert [problem.loc for problem in refused.value.problems] == [loc]


def test_files_may_be_named_without_their_suffix_as_metadata_does(installed):
    named = plan(
        installed, base_model_name="juggernautXL_v8Rundiffusion", refiner_model_name="refiner", loras=[["a", 0.5]]
    )
    assert (named.models.base, named.models.refiner) == (BASE, "refiner.safetensors")
    assert named.models.loras == (("a.safetensors", 0.5),)


OLD_BASE = "juggernautXL_version6Rundiffusion.safetensors"


@pytest.mark.parametrize("name", presets()["default"].previous_default_models)
def test_an_old_name_of_the_default_checkpoint_asks_for_the_default_one(installed, name):
    assert plan(installed, base_model_name=name).models.base == BASE
    assert plan(installed, "starter", base_model_name=name).models.base == STARTER


def test_an_installed_checkpoint_is_used_by_its_own_name(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    for name in (BASE, OLD_BASE):
        (tmp_path / "checkpoints" / name).touch()
    catalogue = Catalogue(tmp_path)
    assert plan(catalogue, base_model_name=OLD_BASE).models.base == OLD_BASE
    assert plan(catalogue).models.base == BASE


def test_an_old_name_of_another_presets_checkpoint_is_unknown(installed):
    with pytest.raises(InvalidRequest):
        plan(installed, base_model_name="animaPencilXL_v400.safetensors")


EXPANDED = {"prompt": "a cat", "style_selections": ["Fooocus V2", "SAI Anime"]}


def test_without_the_expander_its_style_adds_nothing_and_the_reply_warns(installed):
    made, plain = plan(installed, **EXPANDED), plan(installed, prompt="a cat", style_selections=["SAI Anime"])
    assert made.images == plain.images
    assert made.warnings == (*plain.warnings, "style 'Fooocus V2' added nothing: the prompt expander is not installed")


@pytest.mark.parametrize("prompt", ["", " , "])
def test_a_prompt_that_would_not_be_expanded_needs_no_expander(installed, prompt):
    made = plan(installed, **EXPANDED | {"prompt": prompt})
    assert not any("expander" in warning for warning in made.warnings)


@pytest.mark.parametrize("base", [BASE, STARTER])
def test_with_the_expander_even_a_prompt_of_tags_is_expanded(tmp_path, base):
    catalogue = with_files(tmp_path, (f"checkpoints/{BASE}", "prompt_expansion/fooocus_expansion/pytorch_model.bin"))
    made = plan(catalogue, base_model_name=base, **EXPANDED | {"prompt": "<lora:none:1>"})
    assert made.images[0].expand
    assert made.images[0].styles == ("Fooocus V2", "SAI Anime")


def test_what_this_deployment_cannot_do_is_refused_by_name(installed):
    with pytest.raises(ModelUnavailable, match=r"safety-checker\.bin") as refused:
        plan(installed, advanced_params={"black_out_nsfw": True})
    assert refused.value.status == 501


def test_a_checked_picture_is_not_shown_before_the_check(tmp_path):
    checker = "safety_checker/stable-diffusion-safety-checker.bin"
    made = plan(with_files(tmp_path, (*FILES, checker)), advanced_params={"black_out_nsfw": True})
    assert made.screened and not made.previews


def test_a_disabled_lora_is_not_looked_for(installed):
    assert plan(installed, loras=[[False, "x.safetensors", 1]]).models.loras == ()


def test_a_default_vae_or_refiner_that_is_missing_is_left_out(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "ponyDiffusionV6XL.safetensors").touch()
    (tmp_path / "checkpoints" / "sd_xl_base_1.0_0.9vae.safetensors").touch()
    pony, sai = plan(Catalogue(tmp_path), "pony_v6"), plan(Catalogue(tmp_path), "sai", loras=[])
    assert (pony.models.vae, sai.models.refiner) == (None, None)
    assert "default VAE" in pony.warnings[0]
    assert "default refiner" in sai.warnings[0]


def test_the_shipped_model_stands_in_where_none_is_installed(tmp_path):
    made = plan(Catalogue(tmp_path))
    assert made.models.base == STARTER
    assert "stands in" in made.warnings[0]


def test_a_part_of_a_request_counts_on(installed):
    whole = plan(installed, prompt="[[a,b,c]]", image_number=3)
    part = plan(installed, prompt="[[a,b,c]]", image_number=1, image_index_offset=2, image_total=3)
    assert part.images == whole.images[2:]


@settings(deadline=None)
@given(st.text(max_size=60), st.integers(0, 2**63 - 1), st.integers(1, 4))
def test_equal_requests_have_equal_plans(installed, prompt, seed, number):
    fields = {"prompt": prompt, "image_seed": seed, "image_number": number, "style_selections": ["Random Style"]}
    try:
        assert plan(installed, **fields) == plan(installed, **fields)
    except InvalidRequest as error:
        assert all(problem.loc[0] == "body" for problem in error.problems)
