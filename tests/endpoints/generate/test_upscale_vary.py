"""The fields of ``image-upscale-vary`` (api.md §2.6, examples.md §2), and what they come down to in a plan."""

from __future__ import annotations

from typing import Any

import pytest

from fooocus_engine.endpoints.generate.plan import Enlarge, Upscale, Vary
from fooocus_engine.endpoints.generate.resolved import resolved_parameters
from fooocus_engine.endpoints.generate.upscale_vary import Method
from fooocus_engine.errors import InvalidRequest, Problem, reply_fields
from fooocus_engine.models.catalogue import Catalogue
from tests.endpoints.asking import uov_asked, uov_plan, with_files

IMAGE = "aGVsbG8="
MODES = ("loras/sdxl_lcm_lora.safetensors", "loras/sdxl_hyper_sd_4step_lora.safetensors")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Catalogue:
    names = ("checkpoints/juggernautXL_v8Rundiffusion.safetensors", "checkpoints/refiner.safetensors", *MODES)
    return with_files(tmp_path_factory.mktemp("models"), names)


def problem(**fields: Any) -> Problem:
    with pytest.raises(InvalidRequest) as refused:
        uov_asked(fields)
    (found,) = refused.value.problems
    return found


def test_a_picture_alone_is_enlarged_twice():
    request = uov_asked({"input_image": IMAGE})
    assert (request.uov_method, request.upscale_value) == (Method.UPSCALE_2, 1.0)
    assert request.input_image == IMAGE


@pytest.mark.parametrize("method", list(Method))
def test_a_method_is_known_in_any_case(method):
    for spelling in (method.value, method.value.lower(), method.value.upper()):
        assert uov_asked({"input_image": IMAGE, "uov_method": spelling}).uov_method is method


@pytest.mark.parametrize("name", ["Disabled", "disabled", "Upscale", "Upscale (3x)", "Vary"])
def test_another_method_is_refused_with_those_that_are_near(name):
    found = problem(input_image=IMAGE, uov_method=name)
    assert (found.type, found.loc) == ("unknown_name", ("body", "uov_method"))
    assert "upscale or vary method" in found.msg


@pytest.mark.parametrize(
    "given", [{}, *({"input_image": x} for x in ("", " ", "None", "none", "null", "string", None))]
)
def test_without_a_picture_the_field_is_missing(given):
    assert problem(**given) == Problem("missing", ("body", "input_image"), "is required")


@pytest.mark.parametrize("value", [42, ["a"], {"a": 1}, True, 1.5])
def test_a_picture_is_text(value):
    found = problem(input_image=value)
    assert (found.type, found.loc) == ("string_type", ("body", "input_image"))


@pytest.mark.parametrize(("given", "value"), [(None, 1.0), ("2.5", 2.5), (5, 5.0), ("", 1.0), (1, 1.0)])
def test_the_custom_factor_reads_what_forms_and_json_write(given, value):
    assert uov_asked({"input_image": IMAGE, "upscale_value": given}).upscale_value == value


@pytest.mark.parametrize("value", [0.9, 5.1, "much", "nan"])
def test_a_factor_out_of_range_is_refused(value):
    assert problem(input_image=IMAGE, upscale_value=value).loc == ("body", "upscale_value")


@pytest.mark.parametrize("name", ["overwrite_vary_strength", "overwrite_upscale_strength"])
def test_a_strength_that_would_make_endless_schedules_is_refused(name):
    found = problem(input_image=IMAGE, advanced_params={name: 1e-9})
    assert found.loc == ("body", "advanced_params", name)
    assert "0.001" in found.msg


@pytest.mark.parametrize("slots", [[], [{"cn_img": None}], "[]", '[{"cn_img": ""}]', [{"cn_img": "none"}, {}]])
def test_empty_slots_of_image_prompts_are_no_image_prompts(slots, installed):
    assert uov_plan(installed, (512, 512), "Vary (Subtle)", image_prompts=slots).goal == Vary((1024, 1024))


@pytest.mark.parametrize(("slots", "loc"), [("[{", ()), ([5], (0,)), (5, ())])
def test_malformed_image_prompts_are_named(slots, loc):
    assert problem(input_image=IMAGE, image_prompts=slots).loc == ("body", "image_prompts", *loc)


@pytest.mark.parametrize(
    ("performance", "steps", "upscale_steps"),
    [("Quality", 60, 36), ("Speed", 30, 18), ("Extreme Speed", 8, 8), ("Hyper-SD", 4, 4)],
)
def test_a_mode_has_its_own_steps_for_diffused_upscales_alone(installed, performance, steps, upscale_steps):
    varied = uov_plan(installed, (512, 512), "Vary (Subtle)", performance_selection=performance)
    upscaled = uov_plan(installed, (512, 512), "Upscale (1.5x)", performance_selection=performance)
    assert (varied.sampling.steps, varied.sampling.denoise) == (steps, 0.5)
    assert (upscaled.sampling.steps, upscaled.sampling.denoise) == (upscale_steps, 0.382)


def test_overwritten_steps_count_and_the_switch_keeps_to_the_methods_own(installed):
    fields = {"refiner_model_name": "refiner.safetensors", "advanced_params": {"overwrite_step": 4}}
    upscaled = uov_plan(installed, (512, 512), "Upscale (2x)", **fields)
    assert (upscaled.sampling.steps, upscaled.sampling.switch) == (4, 9)


def test_the_size_follows_the_picture_and_not_the_request(installed):
    fields = {"aspect_ratios_selection": "704*1408", "advanced_params": {"overwrite_width": 64, "overwrite_height": 64}}
    assert uov_plan(installed, (1001, 1003), "Vary (Strong)", **fields).size == (1000, 1000)
    assert uov_plan(installed, (400, 300), "Upscale (2x)", **fields).size == (1152, 896)
    assert uov_plan(installed, (1001, 1003), "Upscale (Fast 2x)", **fields).size == (2002, 2006)


def test_a_direct_enlargement_is_one_picture_without_metadata(installed):
    made = uov_plan(installed, (400, 300), "Upscale (Fast 2x)", image_number=4, save_meta=True)
    assert isinstance(made.goal, Enlarge)
    assert (len(made.images), made.images[0].seed, made.output.metadata_scheme) == (1, 5, None)
    large = uov_plan(installed, (1920, 1080), "Upscale (2x)", image_number=4)
    assert (len(large.images), large.output.metadata_scheme) == (1, None)


@pytest.mark.parametrize(
    ("size", "method", "told"),
    [
        ((1920, 1080), "Upscale (2x)", True),
        ((1920, 1080), "Upscale (Fast 2x)", False),
        ((400, 300), "Upscale (2x)", False),
        ((1920, 1080), "Vary (Strong)", False),
    ],
)
def test_who_asked_for_sampling_is_told_where_the_size_leaves_it_out(installed, size, method, told):
    warnings = uov_plan(installed, size, method).warnings
    assert any("does not sample enlargements of more than about 2800" in warning for warning in warnings) is told


def test_sampled_pictures_are_as_many_as_asked_and_carry_metadata(installed):
    made = uov_plan(installed, (400, 300), "Upscale (2x)", image_number=3)
    assert isinstance(made.goal, Upscale)
    assert ([task.seed for task in made.images], made.output.metadata_scheme) == ([5, 6, 7], "fooocus")


@pytest.mark.parametrize(
    ("fields", "seed"),
    [
        ({}, 5),
        ({"image_number": 4}, 8),
        ({"image_number": 4, "advanced_params": {"disable_seed_increment": True}}, 5),
        ({"image_number": 1, "image_index_offset": 2}, 7),
        ({"image_number": 1, "image_index_offset": 1, "image_total": 4}, 8),
        ({"image_seed": 2**32 + 3}, 3),
        ({"image_seed": 2**63 - 1, "image_number": 2}, 0),
    ],
)
def test_the_encoding_takes_the_seed_of_the_whole_requests_last_picture(installed, fields, seed):
    assert uov_plan(installed, (400, 300), "Vary (Subtle)", **fields).encoding_seed == seed


def test_the_picture_is_repeated_nowhere(installed):
    request = uov_asked({"input_image": IMAGE, "image_seed": 5, "image_prompts": [{"cn_img": ""}]})
    made = uov_plan(installed, (400, 300), "Upscale (2x)", input_image=IMAGE)
    parameters = resolved_parameters(request, made)
    assert not {"input_image", "image_prompts"} & set(parameters)
    assert (parameters["uov_method"], parameters["upscale_value"]) == ("Upscale (2x)", 1.0)
    assert IMAGE not in repr(request)


def test_a_refusal_shortens_what_was_given():
    with pytest.raises(InvalidRequest) as refused:
        uov_asked({"input_image": ["x" * 5000]})
    assert len(str(reply_fields(refused.value))) < 1000


@pytest.mark.parametrize(
    ("fields", "meaning"),
    [
        ({"uov_method": "Upscale (2x)", "async_process": "True"}, {"async_process": True}),
        ({"uov_method": "Vary (Subtle)", "style": "SAI Anime,Fooocus V2"}, {"uov_method": Method.VARY_SUBTLE}),
        ({"uov_method": "Vary (Strong)", "style_selections": '["SAI Anime"]'}, {"style_selections": ("SAI Anime",)}),
        (
            {"uov_method": "Upscale (Custom)", "upscale_value": "2.5", "advanced_params": "", "loras": ""},
            {"upscale_value": 2.5, "uov_method": Method.UPSCALE_CUSTOM},
        ),
        ({"uov_method": "Upscale (1.5x)", "loras": '[{"model_name": "a.safetensors"}]'}, {"upscale_value": 1.0}),
    ],
)
def test_a_documented_request_means_what_is_documented(fields, meaning):
    request = uov_asked({"input_image": IMAGE, **fields})
    assert {name: getattr(request, name) for name in meaning} == meaning


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"uov_method": "Upscale (3x)"}, ("uov_method",)),
        ({"loras": "abc"}, ("loras",)),
        ({"advanced_params": "zz"}, ("advanced_params",)),
        ({"advanced_params": '{"canny_low_threshold": 0}'}, ("advanced_params", "canny_low_threshold")),
    ],
)
def test_a_request_that_must_be_refused_is_refused_at_the_documented_place(fields, loc):
    assert problem(input_image=IMAGE, **fields).loc == ("body", *loc)


@pytest.mark.parametrize("method", list(Method))
def test_several_jobs_share_the_pictures_only_where_there_are_as_many_as_are_wanted(installed, method):
    plan = uov_plan(installed, (512, 512), method.value, image_number=3, upscale_value=2)
    request = uov_asked({"input_image": IMAGE, "uov_method": method.value, "image_number": 3})
    assert request.divisible is (len(plan.images) == 3)
