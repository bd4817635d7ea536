"""The common fields (api.md §2.2): what is refused and where, what is let pass and as what."""

import json

import pytest

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.performance import Performance
from tests.endpoints.asking import asked, places, problems

NAN, INFINITY = float("nan"), float("inf")

BAD_VALUES = [
    ("prompt", 5),
    ("prompt", ["a"]),
    ("prompt", "\ud800"),
    ("negative_prompt", {"a": 1}),
    ("style_selections", 7),
    ("style_selections", {"SAI Anime": True}),
    ("style_selections", '["SAI Anime"'),
    ("style_selections", ["SAI Anime"] * 301),
    ("performance_selection", "Fastest"),
    ("performance_selection", 4),
    ("performance_selection", "\ud800"),
    ("aspect_ratios_selection", "wide"),
    ("aspect_ratios_selection", "1152"),
    ("aspect_ratios_selection", "63*1024"),
    ("aspect_ratios_selection", "1024*2049"),
    ("aspect_ratios_selection", "1024*1024*3"),
    ("aspect_ratios_selection", "1024.5*1024"),
    ("aspect_ratios_selection", [1024, 1024]),
    ("image_number", 0),
    ("image_number", 33),
    ("image_number", 2.5),
    ("image_number", "two"),
    ("image_seed", -2),
    ("image_seed", -7),
    ("image_seed", 2**63),
    ("image_seed", str(2**63)),
    ("image_seed", 0.5),
    ("sharpness", -0.1),
    ("sharpness", 31),
    ("sharpness", NAN),
    ("sharpness", "inf"),
    ("guidance_scale", 0.5),
    ("guidance_scale", 30.5),
    ("guidance_scale", INFINITY),
    ("base_model_name", 3),
    ("base_model_name", "../secret.safetensors"),
    ("base_model_name", "/etc/passwd"),
    ("base_model_name", "sub\\..\\..\\x.safetensors"),
    ("base_model_name", "C:\\x.safetensors"),
    ("base_model_name", "a\x00.safetensors"),
    ("refiner_model_name", "../x"),
    ("refiner_switch", 0.05),
    ("refiner_switch", 1.1),
    ("loras", "abc"),
    ("loras", 5),
    ("advanced_params", "zz"),
    ("advanced_params", [1]),
    ("advanced_params", 3),
    ("save_meta", "maybe"),
    ("save_meta", 2),
    ("meta_scheme", "exif"),
    ("meta_scheme", "Fooocus"),
    ("save_extension", "gif"),
    ("save_extension", 1),
    ("save_name", "../x"),
    ("save_name", ".hidden"),
    ("save_name", "a..b"),
    ("save_name", "a/b"),
    ("save_name", "a\nb"),
    ("save_name", "x" * 101),
    ("read_wildcards_in_order", "perhaps"),
    ("require_base64", []),
    ("async_process", "later"),
    ("webhook_url", "ftp://example.org"),
    ("webhook_url", "example.org"),
    ("webhook_url", "http://"),
    ("webhook_url", "http://[::1"),
    ("webhook_url", "http://example.org:99999"),
    ("webhook_url", "http://example.org/a b"),
    ("preset", "animme"),
    ("preset", 1),
    ("image_index_offset", -1),
    ("image_index_offset", 32),
    ("image_total", 0),
    ("image_total", 33),
    ("deliver_webhook", "soon"),
]


@pytest.mark.parametrize(("field", "value"), BAD_VALUES, ids=lambda value: repr(value)[:40])
def test_a_bad_value_is_refused_at_its_field(field, value):
    assert places({field: value}) == [(field,)]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"style_selections": ["No Such Style"]}, ("style_selections", 0)),
        ({"style_selections": ["SAI Anime", 3]}, ("style_selections", 1)),
        ({"style": ["SAI Anime", "Nope"]}, ("style_selections", 1)),
        ({"style_selections": "SAI Anime, Nope"}, ("style_selections", 1)),
        ({"loras": ["abc"]}, ("loras", 0)),
        ({"loras": [5]}, ("loras", 0)),
        ({"loras": [["a"]]}, ("loras", 0)),
        ({"loras": [["a", 1, 2, 3]]}, ("loras", 0)),
        ({"loras": [{"weight": 0.5}]}, ("loras", 0, "model_name")),
        ({"loras": [["a", 1], {"model_name": 7}]}, ("loras", 1, "model_name")),
        ({"loras": [{"model_name": "../a"}]}, ("loras", 0, "model_name")),
        ({"loras": [{"model_name": "a", "weight": 2.1}]}, ("loras", 0, "weight")),
        ({"loras": [["a", -2.1]]}, ("loras", 0, "weight")),
        ({"loras": [[True, "a", "heavy"]]}, ("loras", 0, "weight")),
        ({"loras": [["a", NAN]]}, ("loras", 0, "weight")),
        ({"loras": '[{"model_name": "a", "weight": Infinity}]'}, ("loras", 0, "weight")),
        ({"loras": [{"enabled": "perhaps", "model_name": "a"}]}, ("loras", 0, "enabled")),
        ({"loras": [["a", 1]] * 6}, ("loras",)),
        ({"image_number": 2, "image_index_offset": 3, "image_total": 4}, ("image_total",)),
    ],
)
def test_a_bad_entry_is_refused_at_its_position(fields, place):
    assert places(fields) == [place]


def test_all_problems_are_reported_at_once():
    found = places(
        {
            "preset": "nope",
            "image_number": 99,
            "style_selections": ["Nope"],
            "loras": [["a", 9]],
            "advanced_params": {"clip_skip": 0, "sampler_name": "magic"},
        }
    )
    assert set(found) == {
        ("preset",),
        ("image_number",),
        ("style_selections", 0),
        ("loras", 0, "weight"),
        ("advanced_params", "clip_skip"),
        ("advanced_params", "sampler_name"),
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"image_number": 33}, ("33", "1 to 32")),
        ({"image_seed": "-7"}, ("'-7'", "-1 to 9223372036854775807")),
        ({"guidance_scale": 0.5}, ("0.5", "1 to 30")),
        ({"style_selections": ["SAI Anme"]}, ("'SAI Anme'", "near matches: SAI Anime")),
        ({"performance_selection": "Lightnin"}, ("'Lightnin'", "near matches: Lightning")),
        ({"preset": "realstic"}, ("'realstic'", "near matches: realistic")),
        ({"save_extension": "gif"}, ("'gif'", "png, jpg, jpeg, webp")),
        ({"aspect_ratios_selection": "9*9"}, ("9*9", "64 to 2048")),
        ({"loras": [["a", 3]]}, ("got 3", "-2.0 to 2.0")),
        ({"loras": [["a", 1]] * 6}, ("at most 5", "6 are enabled")),
        ({"advanced_params": "zz"}, ("'zz'", "JSON object")),
        ({"prompt": ["a", "b"]}, ("a list of 2",)),
    ],
)
def test_the_message_names_the_value_and_what_is_allowed(fields, words):
    (problem,) = problems(fields)
    assert all(word in problem.msg for word in words), problem.msg


def test_malformed_json_has_its_own_type():
    assert [p.type for p in problems({"advanced_params": "zz", "loras": "abc"})] == ["json_invalid", "json_invalid"]


def test_every_problem_can_be_written_as_strict_json():
    nested = [[[[[[["deep", NAN]]]]]]]
    found = problems(
        {"prompt": nested, "sharpness": NAN, "performance_selection": "\ud800", "loras": [{"weight": NAN}]}
    )
    text = json.dumps([problem.as_json() for problem in found], allow_nan=False)
    assert text.encode("utf-8")
    assert len(found) == 5  # the LoRA has no name and no finite weight


def test_a_huge_value_is_not_repeated_in_full():
    (problem,) = problems({"aspect_ratios_selection": "x" * 100_000})
    assert len(problem.msg) < 1000
    assert len(problem.as_json()["input"]) < 1000


@pytest.mark.parametrize(
    ("field", "value", "meaning"),
    [
        ("image_number", "3", 3),
        ("image_number", 2.0, 2),
        ("image_seed", "9223372036854775807", 2**63 - 1),
        ("image_seed", 0, 0),
        ("image_seed", -1, -1),
        ("sharpness", "5.5", 5.5),
        ("sharpness", 30, 30.0),
        ("guidance_scale", "30", 30.0),
        ("save_meta", "False", False),
        ("save_meta", 0, False),
        ("async_process", "True", True),
        ("async_process", "ON", True),
        ("require_base64", "y", True),
        ("require_base64", "n", False),
        ("performance_selection", "hyper-sd", Performance.HYPER_SD),
        ("performance_selection", "EXTREME speed", Performance.EXTREME_SPEED),
        ("aspect_ratios_selection", "1024×1024", "1024*1024"),
        ("aspect_ratios_selection", "512 x 768", "512*768"),
        ("aspect_ratios_selection", "1152×896 <span>9:7</span>", "1152*896"),
        ("aspect_ratios_selection", "1152*896, 9:7", "1152*896"),
        ("aspect_ratios_selection", "1152*896px", "1152*896"),
        ("aspect_ratios_selection", "100*2048", "100*2048"),
        ("style_selections", ["sai anime"], ("SAI Anime",)),
        ("style_selections", ["SAI Anime", "Fooocus V2", "SAI Anime"], ("SAI Anime", "Fooocus V2", "SAI Anime")),
        ("style_selections", "SAI Anime, Fooocus V2", ("SAI Anime", "Fooocus V2")),
        ("style_selections", [], ()),
        ("style_selections", "", ()),
        ("meta_scheme", "a111", "a1111"),
        ("meta_scheme", "a1111", "a1111"),
        ("save_extension", "JPG", "jpg"),
        ("save_extension", "jpeg", "jpeg"),
        ("save_name", "harbour study", "harbour study"),
        ("save_name", "हिन्दी-1", "हिन्दी-1"),
        ("save_name", "x" * 100, "x" * 100),
        ("webhook_url", "http://127.0.0.1:9/status", "http://127.0.0.1:9/status"),
        ("webhook_url", "", ""),
        ("refiner_model_name", "", "None"),
        ("refiner_model_name", "sub/refiner.safetensors", "sub/refiner.safetensors"),
        ("base_model_name", "sub/модель 1.safetensors", "sub/модель 1.safetensors"),
        ("prompt", "", ""),
    ],
)
def test_a_lenient_spelling_is_understood(field, value, meaning):
    assert getattr(asked({field: value}), field) == meaning


@pytest.mark.parametrize("field", sorted(set(GenerateRequest.model_fields)))
def test_null_is_as_good_as_not_given(field):
    assert asked({field: None}) == asked({})


TEXTS = {"prompt", "negative_prompt", "style_selections", "save_name", "webhook_url", "refiner_model_name"}


@pytest.mark.parametrize("field", sorted(set(GenerateRequest.model_fields) - TEXTS))
def test_an_empty_string_for_anything_but_text_is_as_good_as_not_given(field):
    assert asked({field: ""}) == asked({})


def test_a_copy_with_a_drawn_seed_still_knows_what_was_given():
    request = asked({"prompt": "a"}).model_copy(update={"image_seed": 5})
    assert (request.image_seed, request.given) == (5, {"prompt"})


def test_a_request_survives_the_way_through_json():
    request = asked({"prompt": "a", "loras": [["a", 1]], "style_selections": ["SAI Anime"], "image_seed": 2**63 - 1})
    assert asked(json.loads(request.model_dump_json())).model_dump() == request.model_dump()


def test_a_request_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        asked({}).prompt = "b"
