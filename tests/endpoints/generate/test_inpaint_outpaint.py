"""The fields of ``image-inpaint-outpaint`` (api.md §2.7, examples.md §3), and what they come down to in a plan."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.inpaint_outpaint import Direction, InpaintRequest
from fooocus_engine.endpoints.generate.plan import GenerationPlan, Inpaint, Inspect
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.resolved import resolved_parameters
from fooocus_engine.errors import InvalidRequest, ModelUnavailable, Problem
from fooocus_engine.imaging.box import Box
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.settings import Settings
from fooocus_engine.types import Sources
from tests.endpoints.asking import STYLES, WORDS, with_files

IMAGE = "aGVsbG8="
BASE = "checkpoints/juggernautXL_v8Rundiffusion.safetensors"
OTHERS = (
    "checkpoints/refiner.safetensors", "loras/sdxl_lcm_lora.safetensors",
    "loras/sd_xl_offset_example-lora_1.0.safetensors",
)  # fmt: skip
PARTS = (
    "inpaint/fooocus_inpaint_head.pth", "inpaint/inpaint.fooocus.patch", "inpaint/inpaint_v25.fooocus.patch",
    "inpaint/inpaint_v26.fooocus.patch",
)  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Catalogue:
    return with_files(tmp_path_factory.mktemp("models"), (BASE, *OTHERS, *PARTS))


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Catalogue:
    return with_files(tmp_path_factory.mktemp("bare"), (BASE, *OTHERS))


def asked(**fields: Any) -> InpaintRequest:
    given = {"endpoint": "inpaint-outpaint", "image_seed": 5, "style_selections": [], "input_image": IMAGE, **fields}
    return validate_generation(
        canonical(given).fields,
        InpaintRequest,
        default_preset=preset_named("default"),
        styles=STYLES,
        limits=Settings(),
    )


def mask_of(size: tuple[int, int], box: tuple[int, int, int, int] | None, white: int = 255) -> Image.Image:
    """Black but for ``box`` (left, top, right, bottom)."""
    mask = Image.new("L", size)
    if box:
        mask.paste(white, box)
    return mask


def planned(catalogue: Catalogue, mask: Image.Image | None = None, **fields: Any) -> GenerationPlan:
    mask = mask or mask_of((1152, 896), (0, 0, 50, 50))
    sources = Sources(Image.new("1", mask.size), mask)
    return plan_generation(asked(**fields), catalogue, WORDS, max_loras=5, sources=sources)


def refused(**fields: Any) -> Problem:
    with pytest.raises(InvalidRequest) as error:
        asked(**fields)
    (problem,) = error.value.problems
    return problem


def test_all_but_the_picture_has_a_default():
    request = asked()
    assert (request.input_mask, request.inpaint_additional_prompt, request.outpaint_selections) == (None, "", ())
    distances = {getattr(request, f"outpaint_distance_{side}") for side in ("left", "right", "top", "bottom")}
    assert distances == {0}


@pytest.mark.parametrize("given", ["", " ", "None", "none", "null", "string", None])
def test_a_placeholder_is_no_picture(given):
    assert asked(input_mask=given).input_mask is None
    assert refused(input_image=given) == Problem("missing", ("body", "input_image"), "is required")


@pytest.mark.parametrize(
    ("given", "sides"),
    [
        (["Left", "Right"], "LR"), ("Left,Right", "LR"), ("Left, Top", "LT"), ('["Top", "Bottom"]', "TB"),
        ("left,BOTTOM", "LB"), ([], ""), ("", ""), (None, ""), ("[]", ""), (["Left", "Left"], "LL"),
    ],
)  # fmt: skip
def test_directions_come_as_lists_and_as_text(given, sides):
    assert "".join(side[0] for side in asked(outpaint_selections=given).outpaint_selections) == sides


def test_another_direction_is_refused_by_its_place():
    problem = refused(outpaint_selections=["Left", "Up"])
    assert (problem.type, problem.loc) == ("unknown_name", ("body", "outpaint_selections"))


@pytest.mark.parametrize(("given", "pixels"), [(-1, -1), (0, 0), ("64", 64), (4096, 4096), (None, 0), ("", 0)])
def test_distances_are_pixels(given, pixels):
    assert asked(outpaint_selections=["Left"], outpaint_distance_left=given).outpaint_distance_left == pixels


@pytest.mark.parametrize("given", [4097, 1.5, "far"])
def test_a_distance_that_cannot_be_is_refused(given):
    problem = refused(outpaint_selections=["Left"], outpaint_distance_left=given)
    assert problem.loc == ("body", "outpaint_distance_left")


def test_a_distance_of_a_side_that_is_not_chosen_is_told_as_ignored():
    given = {"outpaint_selections": "Top", "outpaint_distance_top": 8, "outpaint_distance_left": "9"}
    given |= {"outpaint_distance_right": -1, "outpaint_distance_bottom": 99999}
    read = canonical({"endpoint": "image-inpaint-outpaint", **given})
    assert read.ignored == ("outpaint_distance_left", "outpaint_distance_bottom")
    request = asked(**given)
    assert (request.outpaint_distance_top, request.outpaint_distance_left) == (8, 0)


@pytest.mark.parametrize(
    ("additional", "prompt", "whole"),
    [("", "a cat", "a cat"), (None, "a cat", "a cat"), ("eyes", "", "eyes"), ("eyes", "a cat", "eyes\na cat")],
)
def test_the_additional_prompt_comes_first(installed, additional, prompt, whole):
    plan = planned(installed, inpaint_additional_prompt=additional, prompt=prompt)
    assert plan.images[0].log_positive == whole
    assert plan.images[0].positive == tuple(whole.split("\n"))


def test_the_goal_is_the_box_around_the_mask_at_the_size_to_work_at(installed):
    plan = planned(installed, advanced_params={"inpaint_respective_field": 0.618})
    assert plan.goal == Inpaint(Box(0, 711, 0, 712), (1024, 1024), filled=True, empty=False)  # image-inpaint.md §3
    assert plan.size == (1024, 1024)


def test_a_size_that_will_do_is_kept_and_the_canvas_has_whole_latent_pixels(installed):
    mask = mask_of((1001, 1003), (5, 5, 9, 9))
    plan = planned(installed, mask, advanced_params={"overwrite_width": 64}, aspect_ratios_selection="704*1408")
    assert (plan.goal.size, plan.size) == ((1001, 1003), (1000, 1000))


@pytest.mark.parametrize(
    ("advanced", "strength", "filled", "empty"),
    [
        ({}, 1.0, True, False),
        ({"inpaint_strength": 0.99}, 0.99, False, False),
        ({"inpaint_strength": 0.991}, 0.991, True, False),
        ({"inpaint_strength": 0.001}, 0.001, False, False),
        ({"inpaint_disable_initial_latent": True}, 1.0, True, True),
    ],
)
def test_strength_decides_what_sampling_starts_from(installed, advanced, strength, filled, empty):
    plan = planned(installed, advanced_params=advanced)
    assert (plan.sampling.denoise, plan.goal.filled, plan.goal.empty) == (strength, filled, empty)


def test_a_strength_of_nothing_is_refused(installed):
    with pytest.raises(InvalidRequest) as error:
        planned(installed, advanced_params={"inpaint_strength": 0})
    assert [problem.loc for problem in error.value.problems] == [("body", "advanced_params", "inpaint_strength")]


@pytest.mark.parametrize("mask", [mask_of((64, 64), None), mask_of((64, 64), (0, 0, 9, 9), white=127)])
def test_nothing_to_repaint_is_refused_at_the_mask(installed, mask):
    with pytest.raises(InvalidRequest) as error:
        planned(installed, mask)
    (problem,) = error.value.problems
    assert problem.loc == ("body", "input_mask")
    assert "outpaint_selections" in problem.msg


def test_a_part_too_thin_to_sample_is_refused(installed):
    with pytest.raises(InvalidRequest, match="at least 64") as error:
        planned(installed, mask_of((40_000, 26), (0, 0, 9, 9)))
    assert error.value.problems[0].loc == ("body", "input_image")


@pytest.mark.parametrize(
    ("engine", "patch"),
    [("v1", "inpaint.fooocus.patch"), ("v2.5", "inpaint_v25.fooocus.patch"), ("v2.6", "inpaint_v26.fooocus.patch")],
)
def test_an_engine_patches_the_base_which_finishes_without(installed, engine, patch):
    plan = planned(installed, advanced_params={"inpaint_engine": engine})
    assert plan.models.base_patches == ((patch, 1.0),)
    assert (plan.models.refiner, plan.sampling.switch, plan.recorded.refiner_switch) == (None, 24, 0.8)


@pytest.mark.parametrize(
    ("fields", "switch", "recorded"),
    [
        ({"advanced_params": {"inpaint_engine": "None"}}, 15, 0.5),
        ({"refiner_model_name": "refiner.safetensors", "refiner_switch": 0.7}, 21, 0.7),
        ({"performance_selection": "Extreme Speed"}, 6, 0.8),  # round(8 · 0.8), over the mode's own 1.0
        ({"performance_selection": "Extreme Speed", "advanced_params": {"inpaint_engine": "None"}}, 8, 1.0),
        ({"advanced_params": {"overwrite_step": 10}}, 24, 0.8),
        ({"advanced_params": {"overwrite_switch": 3}}, 3, 0.8),
    ],
)
def test_where_the_refiner_takes_over(installed, fields, switch, recorded):
    plan = planned(installed, **fields)
    assert (plan.sampling.switch, plan.recorded.refiner_switch) == (switch, recorded)


def test_a_default_engine_that_is_not_installed_is_left_out_and_told(bare):
    plan = planned(bare)
    assert plan.models.base_patches == ()
    assert any("v2.6" in warning and "fooocus_inpaint_head.pth" in warning for warning in plan.warnings)
    parameters = resolved_parameters(asked(), plan)
    assert parameters["advanced_params"]["inpaint_engine"] == "None"


def test_a_named_engine_that_is_not_installed_is_unavailable(bare):
    with pytest.raises(ModelUnavailable, match=r"inpaint_v25\.fooocus\.patch"):
        planned(bare, advanced_params={"inpaint_engine": "v2.5"})


def test_other_endpoints_need_no_inpaint_files(bare):
    request = validate_generation(
        {"image_seed": 5, "style_selections": [], "advanced_params": {"inpaint_engine": "v2.6", "inpaint_strength": 0}},
        default_preset=preset_named("default"),
        styles=STYLES,
        limits=Settings(),
    )
    plan = plan_generation(request, bare, WORDS, max_loras=5)
    assert (plan.models.base_patches, plan.sampling.denoise, plan.recorded.refiner_switch) == ((), 1.0, 0.5)


def test_an_inspection_is_three_pictures_without_metadata(installed):
    plan = planned(installed, image_number=4, advanced_params={"debugging_inpaint_preprocessor": True})
    assert isinstance(plan.goal, Inspect)
    assert [(task.index, task.seed) for task in plan.images] == [(0, 5), (1, 5), (2, 5)]
    assert plan.output.metadata_scheme is None


@pytest.mark.parametrize("slots", [[], [{"cn_img": None}], '[{"cn_img": ""}]'])
def test_empty_slots_of_image_prompts_are_no_image_prompts(slots, installed):
    assert isinstance(planned(installed, image_prompts=slots).goal, Inpaint)


def test_a_real_image_prompt_is_not_dropped_in_silence(installed):
    with pytest.raises(ModelUnavailable, match="image_prompts"):
        planned(installed, image_prompts=[{"cn_img": IMAGE}])


def test_the_parameters_of_a_reply_mean_the_same_again_and_repeat_no_picture(installed):
    fields = {"inpaint_additional_prompt": "eyes", "outpaint_selections": "Left", "outpaint_distance_left": 64}
    request = asked(**fields, input_mask=IMAGE, advanced_params={"inpaint_strength": 0.5})
    plan = planned(installed, **fields, input_mask=IMAGE, advanced_params={"inpaint_strength": 0.5})
    parameters = resolved_parameters(request, plan)
    assert not {"input_image", "input_mask", "image_prompts"} & set(parameters)
    assert parameters["outpaint_selections"] == ["Left"] and parameters["refiner_switch"] == 0.8
    assert planned(installed, **parameters) == plan
    assert IMAGE not in repr(request)


def test_directions_have_the_documented_names():
    assert {side.value for side in Direction} == {"Left", "Right", "Top", "Bottom"}


@pytest.mark.parametrize(
    ("fields", "meaning"),
    [
        ({"outpaint_selections": "Left,Right", "async_process": "True"}, {"outpaint_selections": ("Left", "Right")}),
        (
            {"outpaint_selections": "Left, Top", "outpaint_distance_left": "64", "outpaint_distance_top": "-1"},
            {"outpaint_selections": ("Left", "Top"), "outpaint_distance_left": 64, "outpaint_distance_top": -1},
        ),
        (
            {"outpaint_selections": ["Left", "Right"], "style": "SAI Anime"},
            {"outpaint_selections": ("Left", "Right")},
        ),
        (
            {"inpaint_additional_prompt": "a red sofa", "advanced_params": '{"invert_mask_checkbox":true}'},
            {"inpaint_additional_prompt": "a red sofa"},
        ),
        (
            {"outpaint_selections": ["Top", "Bottom"], "outpaint_distance_left": -1, "outpaint_distance_bottom": 96},
            {"outpaint_distance_bottom": 96, "outpaint_distance_left": -1},
        ),
        (
            {"outpaint_selections": "Top,Bottom,Left,Right", "style_selections": '["Fooocus V2", "Fooocus Sharp"]'},
            {"outpaint_selections": ("Top", "Bottom", "Left", "Right")},
        ),
    ],
)
def test_a_documented_request_means_what_is_documented(fields, meaning):
    request = asked(**fields)
    assert {name: getattr(request, name) for name in meaning} == meaning
