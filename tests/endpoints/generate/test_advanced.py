"""Every field of ``advanced_params`` (api.md §2.4): its default, its range and where it is refused."""

import pytest

from fooocus_engine.endpoints.generate.advanced import AdvancedParams
from fooocus_engine.sampling.settings import SAMPLERS, SCHEDULERS, RefinerSwap
from tests.endpoints.asking import asked, places, problems

DEFAULTS = {
    "disable_preview": False, "disable_intermediate_results": False, "disable_seed_increment": False,
    "adm_scaler_positive": 1.5, "adm_scaler_negative": 0.8, "adm_scaler_end": 0.3, "adaptive_cfg": 7.0, "clip_skip": 2,
    "sampler_name": "dpmpp_2m_sde_gpu", "scheduler_name": "karras", "overwrite_step": -1, "overwrite_switch": -1.0,
    "overwrite_width": -1, "overwrite_height": -1, "overwrite_vary_strength": -1.0,
    "overwrite_upscale_strength": -1.0, "mixing_image_prompt_and_vary_upscale": False,
    "mixing_image_prompt_and_inpaint": False, "debugging_cn_preprocessor": False, "skipping_cn_preprocessor": False,
    "canny_low_threshold": 64, "canny_high_threshold": 128, "refiner_swap_method": "joint",
    "controlnet_softness": 0.25, "freeu_enabled": False, "freeu_b1": 1.01, "freeu_b2": 1.02, "freeu_s1": 0.99,
    "freeu_s2": 0.95, "debugging_inpaint_preprocessor": False, "inpaint_disable_initial_latent": False,
    "inpaint_engine": "v2.6", "inpaint_strength": 1.0, "inpaint_respective_field": 1.0,
    "inpaint_advanced_masking_checkbox": True, "invert_mask_checkbox": False, "inpaint_erode_or_dilate": 0,
    "black_out_nsfw": False, "vae_name": "Default (model)", "debugging_dino": False, "dino_erode_or_dilate": 0,
    "debugging_enhance_masks_checkbox": False,
}  # fmt: skip  # the table of api.md §2.4, column We

RANGES = {
    "adm_scaler_positive": (0.1, 3), "adm_scaler_negative": (0.1, 3), "adm_scaler_end": (0, 1), "adaptive_cfg": (1, 30),
    "clip_skip": (1, 12), "overwrite_step": (-1, 200), "overwrite_switch": (-1, 200), "overwrite_width": (-1, 2048),
    "overwrite_height": (-1, 2048), "overwrite_vary_strength": (-1, 1), "overwrite_upscale_strength": (-1, 1),
    "canny_low_threshold": (1, 255), "canny_high_threshold": (1, 255), "controlnet_softness": (0, 1),
    "inpaint_strength": (0, 1), "inpaint_respective_field": (0, 1), "inpaint_erode_or_dilate": (-64, 64),
    "dino_erode_or_dilate": (-64, 64),
}  # fmt: skip
FLOATS = [name for name, value in DEFAULTS.items() if isinstance(value, float)]
FLAGS = [name for name, value in DEFAULTS.items() if isinstance(value, bool)]


def test_the_fields_and_defaults_are_those_of_the_specification_in_its_order():
    assert asked({}).advanced_params.model_dump(mode="json") == DEFAULTS
    assert list(AdvancedParams.model_fields) == list(DEFAULTS)


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_of_a_range_are_allowed_and_what_lies_beyond_is_not(name):
    low, high = RANGES[name]
    for value in (low, high):
        assert getattr(asked({"advanced_params": {name: value}}).advanced_params, name) == value
    for value in (low - 1, high + 1):
        (problem,) = problems({"advanced_params": {name: value}})
        assert problem.loc == ("body", "advanced_params", name)
        assert f"from {float(low):g} to {float(high):g}" in problem.msg.replace(".0", "")


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "-inf", "x", [1]])
def test_a_number_must_be_a_finite_number(name, value):
    assert places({"advanced_params": {name: value}}) == [("advanced_params", name)]


@pytest.mark.parametrize("name", FLAGS)
def test_a_flag_takes_the_usual_words_and_no_others(name):
    for word, meaning in (("t", True), ("NO", False), (1, True), ("off", False), ("True", True)):
        assert getattr(asked({"advanced_params": {name: word}}).advanced_params, name) is meaning
    assert places({"advanced_params": {name: "maybe"}}) == [("advanced_params", name)]


@pytest.mark.parametrize("name", DEFAULTS)
@pytest.mark.parametrize("nothing", [None, ""])
def test_null_and_empty_text_mean_the_default(name, nothing):
    assert asked({"advanced_params": {name: nothing}}) == asked({"advanced_params": {}})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("sampler_name", "eular", "near matches: euler"),
        ("sampler_name", "Euler", "near matches: euler"),
        ("scheduler_name", "karas", "near matches: karras"),
        ("refiner_swap_method", "join", "near matches: joint"),
        ("inpaint_engine", "V2.6", "near matches: v2.6"),
        ("inpaint_engine", "v3.0", "v2.6"),
        ("vae_name", "../x.safetensors", "without '..'"),
        ("clip_skip", 1.5, "got 1.5"),
        ("overwrite_width", 63, "64 to 2048"),
        ("overwrite_height", 1, "64 to 2048"),
    ],
)
def test_a_bad_value_is_refused_with_advice(name, value, words):
    (problem,) = problems({"advanced_params": {name: value}})
    assert problem.loc == ("body", "advanced_params", name)
    assert words in problem.msg


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sampler_name", SAMPLERS),
        ("scheduler_name", SCHEDULERS),
        ("refiner_swap_method", tuple(RefinerSwap)),
        ("inpaint_engine", ("None", "v1", "v2.5", "v2.6")),
        ("overwrite_width", (-1, 0, 64, 2048)),
        ("overwrite_switch", (-1, 0, 0.6, 1, 8, 200)),
    ],
)
def test_every_documented_value_is_allowed(name, values):
    for value in values:
        assert getattr(asked({"advanced_params": {name: value}}).advanced_params, name) == value


def test_advanced_params_as_text_is_read():
    assert asked({"advanced_params": '{"adaptive_cfg": 7.5}'}).advanced_params.adaptive_cfg == 7.5
    assert places({"advanced_params": '{"canny_low_threshold": 0}'}) == [("advanced_params", "canny_low_threshold")]


@pytest.mark.parametrize("nothing", [None, "", "null", {}, "{}"])
def test_no_advanced_params_are_the_defaults(nothing):
    assert asked({"advanced_params": nothing}).advanced_params == asked({}).advanced_params
