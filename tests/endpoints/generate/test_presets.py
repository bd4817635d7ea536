"""The presets against the table of models.md §3, spelt here a second time."""

import pytest

from fooocus_engine.endpoints.generate.performance import Performance
from fooocus_engine.endpoints.generate.presets import Preset, preset_named, presets
from fooocus_engine.endpoints.generate.sizes import parse_size
from fooocus_engine.errors import UnknownName
from fooocus_engine.sampling.settings import SAMPLERS, SCHEDULERS

JUGGERNAUT = "juggernautXL_v8Rundiffusion.safetensors"
STARTER = "starter_sdxl.safetensors"
OFFSET = "sd_xl_offset_example-lora_1.0.safetensors"
DEFAULT_STYLES = ("Fooocus V2", "Fooocus Enhance", "Fooocus Sharp")
ROWS = {  # base, (lora, weight), cfg, styles, aspect
    "default": (JUGGERNAUT, ((OFFSET, 0.1),), 4.0, DEFAULT_STYLES, "1152*896"),
    "anime": (
        "animaPencilXL_v500.safetensors",
        (),
        6.0,
        ("Fooocus V2", "Fooocus Semi Realistic", "Fooocus Masterpiece"),
        "896*1152",
    ),
    "lcm": (JUGGERNAUT, (), 4.0, DEFAULT_STYLES, "1152*896"),
    "lightning": (JUGGERNAUT, (), 4.0, DEFAULT_STYLES, "1152*896"),
    "playground_v2.5": (
        "playground-v2.5-1024px-aesthetic.fp16.safetensors",
        (),
        2.0,
        ("Fooocus V2",),
        "1024*1024",
    ),
    "pony_v6": ("ponyDiffusionV6XL.safetensors", (), 7.0, ("Fooocus Pony",), "896*1152"),
    "realistic": (
        "realisticStockPhoto_v20.safetensors",
        (("SDXL_FILM_PHOTOGRAPHY_STYLE_V1.safetensors", 0.25),),
        3.0,
        ("Fooocus V2", "Fooocus Photograph", "Fooocus Negative"),
        "896*1152",
    ),
    "sai": (
        "sd_xl_base_1.0_0.9vae.safetensors",
        ((OFFSET, 0.5),),
        7.0,
        ("Fooocus V2", "Fooocus Cinematic"),
        "1152*896",
    ),
    "starter": (STARTER, (), 4.0, (), "192*192"),
}
OLD_JUGGERNAUTS = tuple(
    f"juggernautXL_{version}Rundiffusion.safetensors" for version in ("version8", "version7", "v7", "version6", "v6")
)


def differing(field: str) -> dict[str, object]:
    """The presets whose ``field`` is not that of the default preset."""
    usual = getattr(preset_named("default"), field)
    return {name: getattr(preset, field) for name, preset in presets().items() if getattr(preset, field) != usual}


def test_the_nine_presets_are_there_in_order():
    assert list(presets()) == list(ROWS)
    assert all(preset.name == name for name, preset in presets().items())


@pytest.mark.parametrize("name", ROWS)
def test_a_preset_has_the_values_of_the_table(name):
    preset = preset_named(name)
    assert (
        preset.base_model_name,
        preset.loras,
        preset.guidance_scale,
        preset.style_selections,
        preset.aspect_ratios_selection,
    ) == ROWS[name]


def test_the_default_preset_has_the_common_values():
    preset = preset_named("default")
    assert (preset.refiner_model_name, preset.refiner_switch, preset.sharpness) == ("None", 0.5, 2.0)
    assert (preset.sampler_name, preset.scheduler_name) == ("dpmpp_2m_sde_gpu", "karras")
    assert (preset.adaptive_cfg, preset.clip_skip, preset.overwrite_step) == (7.0, 2, -1)
    assert (preset.performance_selection, preset.vae_name) == (Performance.SPEED, "Default (model)")
    assert (preset.inpaint_engine, preset.prompt, preset.negative_prompt) == ("v2.6", "", "")


@pytest.mark.parametrize(
    ("field", "others"),
    [
        ("refiner_model_name", {"sai": "sd_xl_refiner_1.0_0.9vae.safetensors"}),
        ("refiner_switch", {"sai": 0.75}),
        ("sampler_name", {"playground_v2.5": "dpmpp_2m"}),
        ("scheduler_name", {"playground_v2.5": "edm_playground_v2.5"}),
        ("performance_selection", {"lcm": Performance.EXTREME_SPEED, "lightning": Performance.LIGHTNING}),
        ("vae_name", {"pony_v6": "ponyDiffusionV6XL_vae.safetensors"}),
        ("inpaint_engine", {"playground_v2.5": "None", "pony_v6": "None"}),
        (
            "negative_prompt",
            {
                "realistic": "unrealistic, saturated, high contrast, big nose, painting, drawing, sketch, cartoon, "
                "anime, manga, render, CG, 3d, watermark, signature, label"
            },
        ),
        ("sharpness", {}),
        ("clip_skip", {}),
        ("adaptive_cfg", {}),
        ("overwrite_step", {}),
        ("prompt", {}),
    ],
)
def test_only_these_presets_differ_from_the_default(field, others):
    assert differing(field) == others


def test_previous_default_checkpoints_are_listed_newest_first():
    previous = {name: preset.previous_default_models for name, preset in presets().items()}
    assert previous["default"] == previous["lcm"] == previous["lightning"] == OLD_JUGGERNAUTS
    assert previous["anime"] == tuple(
        f"animaPencilXL_v{version}.safetensors" for version in (400, 310, 300, 260, 210, 200, 100)
    )
    assert previous["realistic"] == ("realisticStockPhoto_v10.safetensors",)
    assert all(previous[name] == () for name in ("playground_v2.5", "pony_v6", "sai", "starter"))


@pytest.mark.parametrize("preset", presets().values(), ids=lambda preset: preset.name)
def test_every_value_of_a_preset_is_one_that_a_request_may_carry(preset: Preset):
    assert preset.sampler_name in SAMPLERS
    assert preset.scheduler_name in SCHEDULERS
    assert parse_size(preset.aspect_ratios_selection)


def test_an_unknown_preset_is_refused_with_near_matches():
    with pytest.raises(UnknownName, match="near matches: anime") as caught:
        preset_named("anme")
    assert caught.value.problems[0].loc == ("body", "preset")
