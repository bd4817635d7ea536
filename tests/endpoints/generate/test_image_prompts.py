"""``image_prompts`` of requests (api.md §§2.8, 2.9, 3.8a), and what they come down to in a plan."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.image_prompts import Kind, PromptedRequest
from fooocus_engine.endpoints.generate.plan import (
    ControlTask,
    Enlarge,
    FromText,
    GenerationPlan,
    Inpaint,
    Inspect,
    InspectControls,
    Vary,
)
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.resolved import resolved_parameters
from fooocus_engine.endpoints.table import ENDPOINTS
from fooocus_engine.errors import InvalidRequest, ModelUnavailable, Problem
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.settings import Settings
from fooocus_engine.types import Sources
from tests.endpoints.asking import STYLES, WORDS, with_files

IMAGE = "aGVsbG8="
BASE = "checkpoints/juggernautXL_v8Rundiffusion.safetensors"
FILES = {
    "PyraCanny": ["controlnet/control-lora-canny-rank128.safetensors"],
    "CPDS": ["controlnet/fooocus_xl_cpds_128.safetensors"],
    "ImagePrompt": ["controlnet/ip-adapter-plus_sdxl_vit-h.bin"],
    "FaceSwap": ["controlnet/ip-adapter-plus-face_sdxl_vit-h.bin", "controlnet/detection_Resnet50_Final.pth"],
    "both": ["controlnet/fooocus_ip_negative.safetensors", "clip_vision/clip_vision_vit_h.safetensors"],
}
ENDPOINT_NAMES = ("text-to-image-with-ip", "image-prompt", "image-upscale-vary", "image-inpaint-outpaint")
MASK = Image.new("L", (640, 480))
MASK.paste(255, (100, 100, 200, 200))


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Catalogue:
    inpaint = ("inpaint/fooocus_inpaint_head.pth", "inpaint/inpaint_v26.fooocus.patch")
    names = (BASE, *inpaint, *(name for names in FILES.values() for name in names))
    return with_files(tmp_path_factory.mktemp("models"), names)


def asked(endpoint: str = "image-prompt", **fields: Any) -> PromptedRequest:
    model = ENDPOINTS[endpoint].request
    assert issubclass(model, PromptedRequest)
    given = {"endpoint": endpoint, "image_seed": 5, "style_selections": [], **fields}
    preset = preset_named("default")
    return validate_generation(canonical(given).fields, model, default_preset=preset, styles=STYLES, limits=Settings())


def planned(catalogue: Catalogue, endpoint: str = "image-prompt", **fields: Any) -> GenerationPlan:
    request = asked(endpoint, **fields)
    repainted = Sources(Image.new("1", (640, 480)), MASK) if "input_image" in fields else Sources()
    return plan_generation(request, catalogue, WORDS, max_loras=5, sources=repainted)


def problems(endpoint: str = "image-prompt", **fields: Any) -> tuple[Problem, ...]:
    with pytest.raises(InvalidRequest) as refused:
        asked(endpoint, **fields)
    return refused.value.problems


def shown(kind: str, **more: Any) -> dict[str, Any]:
    return {"cn_img": IMAGE, "cn_type": kind, **more}


@pytest.mark.parametrize(
    ("kind", "stop", "weight"),
    [("ImagePrompt", 0.5, 0.6), ("FaceSwap", 0.9, 0.75), ("PyraCanny", 0.5, 1.0), ("CPDS", 0.5, 1.0)],
)
@pytest.mark.parametrize("nothing", [{}, {"cn_stop": None, "cn_weight": ""}, {"cn_stop": 0, "cn_weight": "0.0"}])
def test_a_type_has_its_own_stop_and_weight(kind, stop, weight, nothing):
    (entry,) = asked(image_prompts=[shown(kind, **nothing)]).image_prompts
    assert (entry.stop, entry.weight) == (stop, weight)
    (entry,) = asked(image_prompts=[shown(kind, cn_stop="0.25", cn_weight=2)]).image_prompts
    assert (entry.stop, entry.weight) == (0.25, 2.0)


def test_a_picture_without_a_type_is_an_image_prompt():
    assert asked(image_prompts=[{"cn_img": IMAGE}]).image_prompts[0].cn_type is Kind.IMAGE


@pytest.mark.parametrize("kind", list(Kind))
def test_a_type_is_known_in_any_case(kind):
    for spelling in (kind.value, kind.value.lower(), kind.value.upper()):
        assert asked(image_prompts=[shown(spelling)]).image_prompts[0].cn_type is kind


def test_pictures_are_worked_on_kind_after_kind_and_found_again_among_the_sources(installed):
    kinds = ["FaceSwap", "ImagePrompt", "CPDS", "PyraCanny"]
    entries = [shown(kind, cn_weight=(place + 1) / 4) for place, kind in enumerate(kinds)]
    plan = planned(installed, image_prompts=[{}, entries[0], {"cn_img": "none"}, *entries[1:]])
    assert plan.steering.tasks == (
        ControlTask(Kind.CANNY, 3, 0.5, 1.0),
        ControlTask(Kind.CPDS, 2, 0.5, 0.75),
        ControlTask(Kind.IMAGE, 1, 0.5, 0.5),
        ControlTask(Kind.FACE, 0, 0.9, 0.25),
    )


def test_those_of_one_kind_stay_in_order(installed):
    plan = planned(installed, image_prompts=[shown("CPDS", cn_stop=stop) for stop in (0.4, 0.1, 0.3, 0.2)])
    assert [(task.source, task.stop) for task in plan.steering.tasks] == [(0, 0.4), (1, 0.1), (2, 0.3), (3, 0.2)]


def test_settings_of_the_preprocessors_are_planned(installed):
    advanced = {"canny_low_threshold": 20, "canny_high_threshold": 60, "controlnet_softness": 0.5}
    plan = planned(installed, image_prompts=[shown("CPDS")], advanced_params=advanced)
    assert (plan.steering.thresholds, plan.steering.softness, plan.steering.preprocessed) == ((20, 60), 0.5, False)
    advanced = {"skipping_cn_preprocessor": True}
    assert planned(installed, image_prompts=[shown("CPDS")], advanced_params=advanced).steering.preprocessed


@pytest.mark.parametrize(
    ("endpoint", "fields", "goal"),
    [
        ("text-to-image-with-ip", {}, FromText),
        ("image-prompt", {}, FromText),
        ("image-prompt", {"input_image": IMAGE}, Inpaint),
        ("image-inpaint-outpaint", {"input_image": IMAGE}, Inpaint),
        ("image-upscale-vary", {"input_image": IMAGE, "uov_method": "Vary (Subtle)"}, Vary),
    ],
)
def test_pictures_steer_whatever_is_made(endpoint, fields, goal, installed):
    plan = planned(installed, endpoint, image_prompts=[shown("PyraCanny")], **fields)
    assert isinstance(plan.goal, goal)
    assert [task.kind for task in plan.steering.tasks] == [Kind.CANNY]
    bare = planned(installed, endpoint, image_prompts=[], **fields) if fields or "text" in endpoint else plan
    assert bare.goal == plan.goal and bare.models == plan.models and bare.size == plan.size


def test_an_enlargement_that_is_not_sampled_is_not_steered_and_says_so(tmp_path):
    bare = with_files(tmp_path, [BASE])
    fields = {"input_image": IMAGE, "uov_method": "Upscale (Fast 2x)", "image_prompts": [shown("CPDS")]}
    plan = planned(bare, "image-upscale-vary", **fields)
    assert isinstance(plan.goal, Enlarge) and plan.steering.tasks == ()
    assert [warning for warning in plan.warnings if "image_prompts have no effect" in warning]


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("endpoint", ENDPOINT_NAMES)
def test_a_file_that_is_needed_and_missing_is_named(endpoint, kind, installed, tmp_path):
    needed = FILES[kind.value] + (FILES["both"] if kind in (Kind.IMAGE, Kind.FACE) else [])
    fields: dict[str, Any] = {"image_prompts": [shown(kind.value)], "input_image": IMAGE}
    if endpoint == "text-to-image-with-ip":
        del fields["input_image"]
    if endpoint == "image-upscale-vary":
        fields["uov_method"] = "Vary (Strong)"
    planned(with_files(tmp_path / "all", [BASE, *needed]), endpoint, **fields)
    for missing in needed:
        rest = [name for name in needed if name != missing]
        with pytest.raises(ModelUnavailable, match=missing.replace(".", r"\.")):
            planned(with_files(tmp_path / missing, [BASE, *rest]), endpoint, **fields)


def test_faces_that_are_cut_out_already_need_no_detector(tmp_path):
    files = [BASE, FILES["FaceSwap"][0], *FILES["both"]]
    advanced = {"skipping_cn_preprocessor": True}
    plan = planned(with_files(tmp_path, files), image_prompts=[shown("FaceSwap")], advanced_params=advanced)
    assert len(plan.steering.tasks) == 1


@pytest.mark.parametrize(
    ("endpoint", "fields", "size"),
    [
        ("image-prompt", {"aspect_ratios_selection": "640*384"}, (640, 384)),
        ("image-prompt", {"input_image": IMAGE}, (1152, 896)),
        ("image-upscale-vary", {"input_image": IMAGE, "uov_method": "Vary (Subtle)"}, (1152, 832)),
    ],
)
def test_an_inspection_shows_what_steers_at_the_size_of_the_pictures_and_needs_no_networks(
    endpoint, fields, size, installed, tmp_path
):
    entries = [shown("ImagePrompt"), shown("CPDS"), shown("PyraCanny")]
    advanced = {"debugging_cn_preprocessor": True}
    bare = with_files(tmp_path, [BASE])
    plan = planned(bare, endpoint, image_prompts=entries, image_number=5, advanced_params=advanced, **fields)
    assert (plan.goal, plan.size) == (InspectControls(size), size)
    assert planned(installed, endpoint, image_prompts=entries, **fields).size == size
    assert [task.index for task in plan.images] == [0, 1, 2]
    assert plan.output.metadata_scheme is None


def test_an_inspected_face_needs_the_detector(tmp_path):
    advanced = {"debugging_cn_preprocessor": True}
    with pytest.raises(ModelUnavailable, match=r"detection_Resnet50_Final\.pth"):
        planned(with_files(tmp_path, [BASE]), image_prompts=[shown("FaceSwap")], advanced_params=advanced)


def test_an_inspection_without_anything_to_show_makes_pictures(installed):
    advanced = {"debugging_cn_preprocessor": True}
    assert planned(installed, "text-to-image-with-ip", advanced_params=advanced).goal == FromText()


def test_of_two_inspections_the_repaintings_comes_first(installed):
    advanced = {"debugging_cn_preprocessor": True, "debugging_inpaint_preprocessor": True}
    plan = planned(installed, input_image=IMAGE, image_prompts=[shown("CPDS")], advanced_params=advanced)
    assert isinstance(plan.goal, Inspect)


@pytest.mark.parametrize(
    ("fields", "places"),
    [
        ({"image_prompts": [shown("Canny")]}, [(0, "cn_type")]),
        ({"image_prompts": [{}, shown("Face Swap")]}, [(1, "cn_type")]),
        ({"image_prompts": [shown("cpds"), shown(5)]}, [(1, "cn_type")]),
        ({"image_prompts": [shown("")] * 3 + [shown("InstantID")]}, [(3, "cn_type")]),
        ({"image_prompts": [shown(["CPDS"])]}, [(0, "cn_type")]),
        ({"image_prompts": [shown("CPDS", cn_weight=3)]}, [(0, "cn_weight")]),
        ({"image_prompts": [{}, shown("CPDS", cn_weight=-0.1)]}, [(1, "cn_weight")]),
        ({"image_prompts": [shown("CPDS", cn_weight="heavy")]}, [(0, "cn_weight")]),
        ({"image_prompts": [shown("CPDS", cn_weight="nan")]}, [(0, "cn_weight")]),
        ({"image_prompts": [shown("CPDS", cn_weight=float("inf"))]}, [(0, "cn_weight")]),
        ({"image_prompts": [shown("CPDS", cn_stop=1.01)]}, [(0, "cn_stop")]),
        ({"image_prompts": [shown("CPDS", cn_stop=-1)]}, [(0, "cn_stop")]),
        ({"image_prompts": [shown("CPDS", cn_stop=[0.5])]}, [(0, "cn_stop")]),
        ({"image_prompts": [{"cn_img": 5}]}, [(0, "cn_img")]),
        ({"image_prompts": [{}, {"cn_img": {"url": "x"}}]}, [(1, "cn_img")]),
        ({"image_prompts": [shown("CPDS")] * 5}, [()]),
        ({"image_prompts": [shown("CPDS")] * 9}, [()]),
        ({"image_prompts": []}, [()]),
        ({}, [()]),
        ({"image_prompts": [{"cn_img": ""}, {}]}, [()]),
        ({"image_prompts": [{}] * 301}, [()]),
        ({"image_prompts": "[{"}, [()]),
        ({"image_prompts": 5}, [()]),
        ({"image_prompts": [5]}, [(0,)]),
        ({"image_prompts": [shown("x", cn_stop=2), {}, shown("y")]}, [(0, "cn_stop"), (0, "cn_type"), (2, "cn_type")]),
    ],
)
def test_what_is_wrong_is_named_by_its_place_in_the_list(fields, places):
    assert [problem.loc for problem in problems(**fields)] == [("body", "image_prompts", *place) for place in places]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (shown("Canny"), "PyraCanny"),
        (shown("CPDS", cn_weight=3), "must be from 0 to 2; got 3"),
        (shown("CPDS", cn_stop=1.5), "must be from 0 to 1; got 1.5"),
    ],
)
def test_a_refusal_says_what_is_allowed(entry, said):
    (problem,) = problems(image_prompts=[entry])
    assert said in problem.msg


def test_too_many_pictures_are_counted():
    (problem,) = problems(image_prompts=[shown("CPDS")] * 9)
    assert problem.msg.startswith("at most 4 pictures are allowed, 9 are given")


def test_the_rules_of_other_fields_hold_besides():
    loras = [["a.safetensors", 1.0]] * 6
    assert [problem.loc for problem in problems(image_prompts=[shown("CPDS")], loras=loras)] == [("body", "loras")]


def test_four_pictures_among_empty_slots_are_not_too_many():
    assert len(asked(image_prompts=[{}, *[shown("CPDS")] * 4, {"cn_img": None}]).shown) == 4


def test_without_any_picture_text_alone_is_asked_for_in_one_endpoint_only():
    assert asked("text-to-image-with-ip").shown == {}
    assert asked("image-prompt", input_image=IMAGE).shown == {}


def test_no_picture_is_repeated(installed):
    fields = {"input_image": IMAGE, "image_prompts": [shown("CPDS")]}
    request, plan = asked(**fields), planned(installed, **fields)
    assert not {"input_image", "image_prompts"} & set(resolved_parameters(request, plan))
    assert IMAGE not in repr(request)


def test_the_additional_prompt_is_of_a_repainting_alone(installed):
    repainting = planned(installed, input_image=IMAGE, prompt="a cat", inpaint_additional_prompt="eyes")
    assert repainting.images[0].positive == ("eyes", "a cat")
    plan = planned(installed, image_prompts=[shown("CPDS")], prompt="a cat", inpaint_additional_prompt="eyes")
    assert plan.images[0].positive == ("a cat",)


STYLE = {"cn_img": IMAGE, "cn_stop": 0.6, "cn_weight": 0.6, "cn_type": "ImagePrompt"}
DOCUMENTED: list[tuple[str, dict[str, Any], list[tuple[str, float, float]]]] = [
    ("image-prompt", {"outpaint_selections": "Left,Right", "input_image": IMAGE}, []),
    ("image-prompt", {"input_image": IMAGE, "input_mask": IMAGE, "image_prompts": [], "async_process": True}, []),
    (
        "image-prompt",
        {"cn_img1": IMAGE, "cn_type1": "PyraCanny", "cn_stop1": "0.6", "cn_weight1": "0.8", "cn_img2": IMAGE},
        [("PyraCanny", 0.6, 0.8), ("ImagePrompt", 0.5, 0.6)],
    ),
    ("image-prompt", {"cn_img3": IMAGE, "cn_type3": "FaceSwap", "cn_stop3": ""}, [("FaceSwap", 0.9, 0.75)]),
    ("image-prompt", {"image_prompts": [STYLE, STYLE]}, [("ImagePrompt", 0.6, 0.6)] * 2),
    (
        "image-prompt",
        {"image_prompts": [shown("PyraCanny"), {"cn_img": None}, {"cn_img": "", "cn_stop": 0, "cn_weight": 0}]},
        [("PyraCanny", 0.5, 1.0)],
    ),
    ("image-prompt", {"image_prompts": [shown("CPDS", cn_stop=None, cn_weight=None)]}, [("CPDS", 0.5, 1.0)]),
    ("text-to-image-with-ip", {"image_prompts": [STYLE], "outpaint_selections": ["Left"]}, [("ImagePrompt", 0.6, 0.6)]),
    ("text-to-image-with-ip", {"prompt": "a cat"}, []),
    ("/v2/generation/text-to-image-with-ip", {"image_prompts": [{"cn_img": IMAGE}]}, [("ImagePrompt", 0.5, 0.6)]),
    ("img2img", {"cn_img1": IMAGE, "cn_stop1": "0.5", "cn_weight1": "1"}, [("ImagePrompt", 0.5, 1.0)]),
    (
        "image-upscale-vary",
        {"uov_method": "Vary (Subtle)", "input_image": IMAGE, "image_prompts": [STYLE]},
        [("ImagePrompt", 0.6, 0.6)],
    ),
    (
        "image-inpaint-outpaint",
        {"input_image": IMAGE, "input_mask": IMAGE, "image_prompts": [STYLE]},
        [("ImagePrompt", 0.6, 0.6)],
    ),
]


@pytest.mark.parametrize(("endpoint", "fields", "meaning"), DOCUMENTED)
def test_a_documented_request_means_what_is_documented(endpoint, fields, meaning):
    request = asked(canonical({"endpoint": endpoint}).endpoint, **fields)
    assert [(entry.cn_type.value, entry.stop, entry.weight) for entry in request.shown.values()] == meaning
