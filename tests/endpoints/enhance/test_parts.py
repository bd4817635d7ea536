"""An enhancement as a row of requests: order, words, what holds for each part, and where problems are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.enhance.contract import EnhanceRequest, Retouch
from fooocus_engine.endpoints.enhance.parts import Part, parts_of, rehearsed, with_words_of
from fooocus_engine.endpoints.enhance.resolved import enhancement_parameters
from fooocus_engine.endpoints.generate.contract import GenerateRequest, validate_generation
from fooocus_engine.endpoints.generate.plan import Enlarge, GenerationPlan, Inpaint, Upscale, Vary
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.upscale_vary import UpscaleVaryRequest
from fooocus_engine.errors import InvalidRequest, ModelUnavailable
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.settings import Settings
from fooocus_engine.types import Sources
from tests.endpoints.asking import STYLES, WORDS, with_files
from tests.endpoints.generate.test_inpaint_outpaint import BASE, OTHERS, PARTS

FACE = {"enhance_enabled": True, "enhance_mask_dino_prompt": "face"}
HANDS = {"enhance_enabled": True, "enhance_mask_model": "u2net", "enhance_prompt": "hands"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Catalogue:
    return with_files(tmp_path_factory.mktemp("models"), (BASE, *OTHERS, *PARTS))


def understood(fields: Mapping[str, Any], model: type[GenerateRequest]) -> Any:
    return validate_generation(fields, model, default_preset=preset_named("default"), styles=STYLES, limits=Settings())


def row(**fields: Any) -> tuple[EnhanceRequest, tuple[Part, ...]]:
    given = {"endpoint": "image-enhance", "enhance_input_image": "x", "image_seed": 5, "style_selections": []}
    read = canonical({**given, "prompt": "a portrait", "negative_prompt": "blur", **fields}).fields
    request = understood(read, EnhanceRequest)
    return request, parts_of(request, read)


def plans(catalogue: Catalogue, size=(600, 400), **fields: Any) -> list[GenerationPlan]:
    def plan(fields: Mapping[str, Any], model: type[GenerateRequest], sources: Sources) -> GenerationPlan:
        return plan_generation(understood(fields, model), catalogue, WORDS, max_loras=5, sources=sources)

    return list(rehearsed(row(**fields)[1], size, plan))


def test_the_whole_picture_is_varied_first_or_last():
    controls = [FACE, {"enhance_mask_dino_prompt": "feet"}, HANDS]
    before = row(enhance_ctrlnets=controls)[1]
    assert [part.model for part in before] == [UpscaleVaryRequest, Retouch, Retouch]
    assert [part.number for part in before] == [0, 0, 2]  # the disabled one is dropped
    after = row(enhance_ctrlnets=controls, enhance_uov_processing_order="After Last Enhancement")[1]
    assert [part.model for part in after] == [Retouch, Retouch, UpscaleVaryRequest]
    off = row(enhance_ctrlnets=controls, enhance_uov_method="Disabled")[1]
    assert [part.model for part in off] == [Retouch, Retouch]


def test_empty_words_of_a_control_are_the_requests():
    words = [
        (part.fields["prompt"], part.fields["negative_prompt"])
        for part in row(enhance_ctrlnets=[FACE | {"enhance_prompt": "  "}, HANDS])[1]
    ]
    assert words == [("a portrait", "blur"), ("a portrait", "blur"), ("hands", "blur")]


@pytest.mark.parametrize(
    ("order", "words", "borrows"),
    [
        ("After Last Enhancement", "Last Filled Enhancement Prompts", True),
        ("After Last Enhancement", "Original Prompts", False),
        ("Before First Enhancement", "Last Filled Enhancement Prompts", False),
    ],
)
def test_only_a_last_part_borrows_words(order, words, borrows):
    _, parts = row(enhance_ctrlnets=[HANDS], enhance_uov_processing_order=order, enhance_uov_prompt_type=words)
    whole = next(part for part in parts if part.control is None)
    assert whole.borrows_words is borrows
    hands = next(part for part in parts if part.control)
    assert with_words_of(whole, hands).fields["prompt"] == "hands"


def test_parts_share_the_seed_and_make_one_picture_each(installed):
    made = plans(installed, enhance_ctrlnets=[FACE, HANDS], image_number=4)
    assert [[task.seed for task in plan.images] for plan in made] == [[5]] * 3
    assert {plan.encoding_seed for plan in made} == {5}


def test_a_controls_settings_are_those_of_its_inpaint(installed):
    control = FACE | {
        "enhance_inpaint_strength": 0.5,
        "enhance_inpaint_respective_field": 0,
        "enhance_inpaint_disable_initial_latent": True,
        "enhance_inpaint_engine": "v1",
    }
    advanced = {"inpaint_strength": 0.9, "inpaint_engine": "v2.5", "overwrite_step": 7}
    (plan,) = plans(installed, enhance_uov_method="Disabled", enhance_ctrlnets=[control], advanced_params=advanced)
    assert isinstance(plan.goal, Inpaint)
    assert (plan.goal.empty, plan.goal.filled, plan.sampling.denoise) == (True, False, 0.5)
    assert (plan.models.base_patches, plan.sampling.steps) == ((("inpaint.fooocus.patch", 1.0),), 7)


def test_a_patched_base_makes_all_steps(installed):
    (plan,) = plans(installed, enhance_uov_method="Disabled", enhance_ctrlnets=[FACE])
    assert plan.models.base_patches == (("inpaint_v26.fooocus.patch", 1.0),)
    assert not plan.models.finishes_unpatched
    assert (plan.recorded.refiner_switch, plan.sampling.switch) == (0.5, 15)


@pytest.mark.parametrize(
    ("method", "goal", "size"),
    [
        ("Vary (Subtle)", Vary, (1216, 768)),
        ("Upscale (2x)", Upscale, (1200, 800)),
        ("Upscale (Fast 2x)", Enlarge, (1200, 800)),
    ],
)
def test_parts_see_the_size_that_the_one_before_made(installed, method, goal, size):
    whole, retouch = plans(installed, enhance_uov_method=method, enhance_ctrlnets=[FACE])
    assert isinstance(whole.goal, goal) and whole.size == size
    assert retouch.goal.box.size == size


def test_steps_are_those_of_the_mode_and_of_upscaling(installed):
    made = plans(installed, enhance_uov_method="Upscale (2x)", enhance_ctrlnets=[FACE])
    assert [plan.sampling.steps for plan in made] == [18, 30]


@pytest.mark.parametrize(
    ("fields", "size", "place"),
    [
        (
            {"enhance_ctrlnets": [{}, FACE | {"enhance_inpaint_strength": 0}]},
            (600, 400),
            ("enhance_ctrlnets", 1, "enhance_inpaint_strength"),
        ),
        ({"enhance_uov_method": "Upscale (Fast 2x)"}, (20_000, 8_000), ("enhance_uov_method",)),
        ({}, (40_000, 26), ("enhance_input_image",)),
        ({"base_model_name": "none.safetensors"}, (600, 400), ("base_model_name",)),
        ({"loras": [["none.safetensors", 1]]}, (600, 400), ("loras", 0, "model_name")),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told_at_the_field_it_comes_from(installed, fields, size, place):
    with pytest.raises(InvalidRequest) as error:
        plans(installed, size, **fields)
    assert [problem.loc[1:] for problem in error.value.problems] == [place]


def test_a_named_engine_without_files_is_unavailable_and_a_default_one_left_out(tmp_path):
    bare = with_files(tmp_path, (BASE, *OTHERS))
    with pytest.raises(ModelUnavailable, match=r"inpaint_v25\.fooocus\.patch"):
        plans(bare, enhance_ctrlnets=[FACE | {"enhance_inpaint_engine": "v2.5"}])
    made = plans(bare, enhance_ctrlnets=[FACE])
    assert made[1].models.base_patches == () and any("v2.6" in text for text in made[1].warnings)


def test_the_parameters_of_a_reply_mean_the_same_again(installed):
    fields = {"enhance_ctrlnets": [{}, FACE, HANDS | {"enhance_inpaint_engine": "None"}], "image_number": 3}
    request, parts = row(**fields)
    first = plans(installed, **fields)
    parameters = enhancement_parameters(request, parts, first)
    engines = [control["enhance_inpaint_engine"] for control in parameters["enhance_ctrlnets"]]
    assert engines == [None, "v2.6", "None"]
    assert "enhance_input_image" not in parameters and parameters["image_number"] == 1
    again = plans(installed, **parameters)
    assert [plan.models for plan in again] == [plan.models for plan in first]
    assert again == first
