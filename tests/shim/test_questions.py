"""How requests to endpoints that take pictures are understood and sent on; the models here are made up."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field

from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.table import ENDPOINTS, Endpoint
from fooocus_engine.errors import InvalidRequest
from fooocus_engine.settings import Settings
from fooocus_engine.shim.openapi import described
from fooocus_engine.shim.orders import order, question
from fooocus_engine.shim.questions import Understanding, form_shape

UNHEARD = Field(exclude=True, repr=False)


class WithPicture(GenerateRequest):
    """A request as those that take pictures will be."""

    input_image: Annotated[str, UNHEARD]
    uov_method: str = "Upscale (2x)"
    image_prompts: Annotated[tuple[dict[str, Any], ...], UNHEARD] = ()


UPSCALE = Endpoint(
    "image-upscale-vary", WithPicture, ENDPOINTS["image-upscale-vary"].routes, "Image Upscale or Variation"
)
DESCRIBE, ENHANCE = ENDPOINTS["describe-image"], ENDPOINTS["image-enhance"]
FORM, JSON = UPSCALE.routes
STYLES = ("Fooocus V2", "Fooocus Enhance", "Fooocus Sharp", "SAI Anime")
UNDERSTANDING = Understanding(preset_named("default"), STYLES, Settings())
PROMPTS = [{"cn_img": "cGljdHVyZQ==", "cn_stop": 0.5, "cn_type": "CPDS"}]


def understood(route=JSON, **given):
    return UNDERSTANDING.generation(UPSCALE, route, {"input_image": "aW1hZ2U=", **given})[0]


def places(**given):
    with pytest.raises(InvalidRequest) as refused:
        UNDERSTANDING.generation(UPSCALE, FORM, given)
    return [problem.loc for problem in refused.value.problems]


def test_pictures_are_sent_to_the_worker_and_not_kept():
    placed = order(UPSCALE, understood(image_prompts=PROMPTS), waits=True)
    (sent,) = placed.parts
    assert (sent["endpoint"], sent["input_image"], sent["image_prompts"]) == ("image-upscale-vary", "aW1hZ2U=", PROMPTS)
    assert placed.told["image_prompts"] == [[0.5, None, "CPDS"]]
    assert "aW1hZ2U=" not in str(placed.told)
    assert "cGljdHVyZQ==" not in str(placed.told)


def test_the_first_generation_requires_what_the_second_has_a_default_for():
    assert understood().uov_method == "Upscale (2x)"
    assert places(input_image="a") == [("body", "uov_method")]
    assert places(sharpness=31) == [("body", "uov_method"), ("body", "sharpness"), ("body", "input_image")]


def test_model_files_that_nobody_named_are_left_to_the_worker():
    (plain,) = order(UPSCALE, understood(), waits=False).parts
    assert not {"base_model_name", "refiner_model_name", "loras", "deliver_webhook"} & set(plain)
    assert not {"vae_name", "inpaint_engine"} & set(plain["advanced_params"])
    named = {
        "base_model_name": "a.safetensors",
        "loras": [],
        "advanced_params": {"vae_name": "b", "inpaint_engine": "v1"},
        "deliver_webhook": True,
    }
    (sent,) = order(UPSCALE, understood(**named), waits=False).parts
    assert (sent["base_model_name"], sent["loras"]) == ("a.safetensors", [])
    assert (sent["advanced_params"]["vae_name"], sent["advanced_params"]["inpaint_engine"]) == ("b", "v1")
    assert "deliver_webhook" not in sent


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, 600),
        ({"image_number": 32}, 32 * 30),
        ({"image_number": 32, "performance_selection": "Lightning"}, 600),
        ({"image_number": 10, "advanced_params": {"overwrite_step": 200}}, 2000),
    ],
)
def test_long_jobs_are_given_more_time(given, seconds):
    assert order(UPSCALE, understood(**given), waits=True).policy == {"executionTimeout": 1000 * seconds}


def test_a_form_takes_files_for_pictures_and_lists_for_lists():
    shape = form_shape(UPSCALE)
    assert {"style_selections", "style", "loras", "image_prompts"} <= shape.lists
    assert {"prompt", "uov_method"} <= shape.texts
    assert "input_image" not in shape.texts


def test_a_tool_takes_fields_from_query_and_body_and_names_where_a_problem_is():
    def asked(given, query):
        return UNDERSTANDING.tool(DESCRIBE, given, query)[0].image_type

    assert asked({"image": "a"}, {"type": "Anime"}) == ("Anime",)
    assert asked({"image": "a", "image_type": "Photo"}, {"type": "Anime"}) == ("Photo",)
    with pytest.raises(InvalidRequest) as refused:
        asked({}, {"image_type": "Sketch"})
    assert {problem.loc for problem in refused.value.problems} == {("body", "image"), ("query", "image_type")}
    with pytest.raises(InvalidRequest) as refused:
        asked({"image": "a"}, {"type": "Sketch"})
    assert [problem.loc for problem in refused.value.problems] == [("query", "type")]


def test_the_picture_of_a_tools_question_is_sent_to_the_worker():
    asked, _ = UNDERSTANDING.tool(DESCRIBE, {"image": "aW1hZ2U="}, {"type": "Anime"})
    assert question(DESCRIBE, asked) == {"endpoint": "describe-image", "image": "aW1hZ2U=", "image_type": ["Anime"]}


def test_forms_are_described_with_files_and_json_text():
    contents = described(UPSCALE, FORM, "default")["openapi_extra"]["requestBody"]["content"]
    form = contents["multipart/form-data"]["schema"]
    assert form["properties"]["input_image"] == {"type": "string", "format": "binary"}
    assert form["properties"]["advanced_params"] == {"type": "string", "description": "JSON"}
    assert form["required"] == ["input_image"]
    assert set(contents) == {"multipart/form-data", "application/x-www-form-urlencoded", "application/json"}


def enhancement(**given):
    route = ENHANCE.routes[0]
    return UNDERSTANDING.generation(ENHANCE, route, {"enhance_input_image": "aW1hZ2U=", **given})[0]


def test_an_enhancement_is_one_job_which_is_given_time_for_each_of_its_parts():
    controls = [{"enhance_enabled": True}, {"enhance_enabled": True}, {"enhance_enabled": True}]
    asked = enhancement(enhance_ctrlnets=controls, image_number=4, advanced_params={"overwrite_step": 200})
    placed = order(ENHANCE, asked, spread=3, waits=True)
    assert len(placed.parts) == 1
    assert placed.policy == {"executionTimeout": 1000 * 4 * 200}


def test_the_inpaint_engine_of_a_control_is_left_to_the_worker_unless_it_is_named():
    given = [{"enhance_enabled": True}, {"enhance_enabled": True, "enhance_inpaint_engine": "v1"}]
    (sent,) = order(ENHANCE, enhancement(enhance_ctrlnets=given), waits=True).parts
    controls = canonical(sent).fields["enhance_ctrlnets"]
    assert [control.get("enhance_inpaint_engine") for control in controls] == [None, "v1"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"enhance_enabled_2": "true", "enhance_mask_model_2": "x"}, ("body", "enhance_mask_model_2")),
        ({"enhance_ctrlnets": [{"enhance_mask_model": "x"}]}, ("body", "enhance_ctrlnets", 0, "enhance_mask_model")),
    ],
)
def test_a_problem_of_a_control_is_told_where_the_client_wrote_it(given, place):
    with pytest.raises(InvalidRequest) as refused:
        enhancement(**given)
    assert [problem.loc for problem in refused.value.problems] == [place]


def test_a_problem_of_a_numbered_picture_is_told_at_its_own_field():
    row = ENDPOINTS["image-prompt"]
    with pytest.raises(InvalidRequest) as refused:
        UNDERSTANDING.generation(row, row.routes[0], {"cn_img2": "aW1hZ2U=", "cn_weight2": "9"})
    assert [problem.loc for problem in refused.value.problems] == [("body", "cn_weight2")]


def test_the_list_of_the_second_generation_is_not_read_by_the_first():
    row, picture = ENDPOINTS["image-prompt"], {"cn_img": "aW1hZ2U="}
    first, second = row.routes[0], row.routes[1]
    given = {"cn_img1": "aW1hZ2U=", "image_prompts": "{'cn_img': None}"}
    request, meant = UNDERSTANDING.generation(row, first, given)
    assert [bool(entry.cn_img) for entry in request.image_prompts] == [True, False, False, False]
    assert meant.ignored == ("image_prompts",)
    with pytest.raises(InvalidRequest):
        UNDERSTANDING.generation(row, first, {"image_prompts": [picture]})
    assert UNDERSTANDING.generation(row, second, {"image_prompts": [picture]})[1].ignored == ()
