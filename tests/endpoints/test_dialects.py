"""Old and foreign spellings: endpoints, fields, values and nesting (api.md §1.2, §2.1, §6.3)."""

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fooocus_engine.endpoints.dialects import ENDPOINT_ALIASES, FIELD_ALIASES, as_written, canonical, canonical_fields
from fooocus_engine.endpoints.table import ENDPOINTS, SHIM_ONLY
from fooocus_engine.errors import EngineError, InvalidRequest, Problem, UnknownName
from tests.endpoints.asking import spelt

PATHS = [(route.path, row.name) for row in ENDPOINTS.values() for route in row.routes]


@pytest.mark.parametrize("name", ENDPOINTS)
def test_a_short_name_is_itself_however_it_is_joined(name):
    for spelling in (name, name.replace("-", "_"), name.upper(), f" {name} "):
        assert canonical({"endpoint": spelling}).endpoint == name


@pytest.mark.parametrize(("path", "name"), PATHS)
def test_a_path_means_its_endpoint(path, name):
    for spelling in (path, f"{path}/", path.replace("_", "-"), path.replace("-", "_")):
        assert canonical({"endpoint": spelling}).endpoint == name


@pytest.mark.parametrize(
    ("old", "name"),
    [
        ("image-inpait-outpaint", "image-inpaint-outpaint"),
        ("/v1/generation/image-inpait-outpaint", "image-inpaint-outpaint"),
        ("/v2/generation/image-inpait-outpaint", "image-inpaint-outpaint"),
        ("/v1/tools/generate-mask", "generate-mask"),
        ("/v1/engines/clean-vram", "clean-vram"),
        ("txt2img", "text-to-image"),
        ("txt2img-ip", "text-to-image-with-ip"),
        ("upscale-vary", "image-upscale-vary"),
        ("upscale-vary2", "image-upscale-vary"),
        ("inpaint-outpaint", "image-inpaint-outpaint"),
        ("inpaint-outpaint2", "image-inpaint-outpaint"),
        ("img2img", "image-prompt"),
        ("img2img2", "image-prompt"),
        ("describe", "describe-image"),
        ("models", "all-models"),
        ("models-refresh", "refresh-models"),
        ("styles", "styles"),
        ("ping", "ping"),
        ("home", "ping"),
    ],
)
def test_an_old_or_foreign_name_is_understood(old, name):
    assert canonical({"endpoint": old}).endpoint == name
    assert canonical({"api_name": old}).endpoint == name


def test_every_alias_leads_to_something_known():
    assert set(ENDPOINT_ALIASES.values()) <= {*ENDPOINTS, *SHIM_ONLY}
    assert not set(ENDPOINT_ALIASES) & {*ENDPOINTS, *SHIM_ONLY}


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("query-job", "status"),
        ("/v1/generation/query-job", "status"),
        ("queryjob", "status"),
        ("job_queue", "health"),
        ("/v1/engines/job-queue/", "health"),
        ("/v1/generation/job-queue", "health"),
        ("jobhistory", "status"),
        ("stop", "cancel"),
        ("/v1/generation/stop", "cancel"),
    ],
)
def test_a_question_about_jobs_is_sent_to_the_platform(name, operation):
    with pytest.raises(InvalidRequest, match=f"platform's {operation}") as caught:
        canonical({"endpoint": name, "job_id": "x"})
    assert caught.value.problems[0].loc == ("body", "endpoint")


def test_an_unknown_endpoint_is_refused_with_near_matches():
    with pytest.raises(UnknownName, match="near matches: text-to-image") as caught:
        canonical({"endpoint": "text2image"})
    assert caught.value.problems[0].loc == ("body", "endpoint")


@pytest.mark.parametrize("path", ["/v1/generation", "/v3/generation/text-to-image", "/", "//ping/x"])
def test_an_unknown_path_is_refused(path):
    with pytest.raises(UnknownName):
        canonical({"endpoint": path})


def test_without_an_endpoint_a_prompt_means_text_to_image():
    assert canonical({"prompt": ""}).endpoint == "text-to-image"
    assert canonical({"params": {"prompt": "a"}, "endpoint": None}).endpoint == "text-to-image"


@pytest.mark.parametrize("given_", [{}, {"prompt": None}, {"endpoint": ""}, {"image_number": 2}, {"endpoint": None}])
def test_without_an_endpoint_and_a_prompt_the_endpoint_is_missing(given_):
    with pytest.raises(InvalidRequest, match="endpoint: is required") as caught:
        canonical(given_)
    assert caught.value.problems[0].loc == ("body", "endpoint")


@pytest.mark.parametrize("given_", [[], "text-to-image", None, 3])
def test_an_input_that_is_no_object_is_refused_as_a_whole(given_):
    with pytest.raises(InvalidRequest) as caught:
        canonical(given_)
    assert caught.value.problems[0].loc == ("body",)


def test_the_endpoint_must_be_text():
    with pytest.raises(InvalidRequest, match="name of an endpoint"):
        canonical({"endpoint": ["text-to-image"]})


def test_nested_params_win_over_outer_ones():
    found = canonical({"endpoint": "text-to-image", "prompt": "outer", "image_seed": 1, "params": {"prompt": "inner"}})
    assert found.fields == {"prompt": "inner", "image_seed": 1}


def test_a_null_inside_params_wins_over_nothing():
    assert canonical({"prompt": "outer", "params": {"prompt": None}}).fields == {"prompt": "outer"}


@pytest.mark.parametrize("params", [{"prompt": "a"}, '{"prompt": "a"}'])
def test_params_may_be_text(params):
    assert canonical({"endpoint": "txt2img", "params": params}).fields == {"prompt": "a"}


@pytest.mark.parametrize("params", ["zz", [1], 7])
def test_params_must_be_an_object(params):
    with pytest.raises(InvalidRequest) as caught:
        canonical({"endpoint": "text-to-image", "params": params})
    assert caught.value.problems[0].loc == ("body", "params")


@pytest.mark.parametrize("nothing", [None, "", {}])
def test_empty_params_are_none(nothing):
    assert canonical({"endpoint": "ping", "params": nothing}) == ("ping", {}, ())


def test_an_old_field_name_is_today_s_unless_both_are_given():
    assert spelt({"style": "SAI Anime"}).fields == {"style_selections": ["SAI Anime"]}
    both = spelt({"style": ["Old"], "style_selections": ["New"]})
    assert (both.fields, both.ignored) == ({"style_selections": ["New"]}, ("style",))
    assert spelt({"style": ["Old"], "style_selections": None}).fields == {"style_selections": ["Old"]}


def test_an_old_name_inside_advanced_params_is_today_s_unless_both_are_given():
    old, new = "inpaint_mask_upload_checkbox", "inpaint_advanced_masking_checkbox"
    assert spelt({"advanced_params": {old: True}}).fields == {"advanced_params": {new: True}}
    both = spelt({"advanced_params": {new: False, old: True}})
    assert (both.fields, both.ignored) == ({"advanced_params": {new: False}}, (f"advanced_params.{old}",))


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("SAI Anime,Fooocus V2", ["SAI Anime", "Fooocus V2"]),
        (" SAI Anime , Fooocus V2, ", ["SAI Anime", "Fooocus V2"]),
        ('["SAI Anime", "Fooocus V2"]', ["SAI Anime", "Fooocus V2"]),
        (["SAI Anime, Fooocus V2", "Random Style"], ["SAI Anime", "Fooocus V2", "Random Style"]),
        (['["SAI Anime"]', "Fooocus V2"], ["SAI Anime", "Fooocus V2"]),
        (["a", "a"], ["a", "a"]),
        ([""], []),
        ("", []),
        ("[]", []),
        ([], []),
        (["a", 3, None], ["a", 3, None]),
        ('["a"', '["a"'),
        (5, 5),
    ],
)
def test_style_selections_may_be_a_list_a_comma_list_or_json(value, names):
    assert spelt({"style_selections": value}).fields == {"style_selections": names}


@pytest.mark.parametrize(
    ("value", "entries"),
    [
        ('[{"model_name": "a", "weight": 0.5}]', [{"model_name": "a", "weight": 0.5}]),
        ('{"model_name": "a"}', [{"model_name": "a"}]),
        (['{"model_name": "a"}', '{"model_name": "b"}'], [{"model_name": "a"}, {"model_name": "b"}]),
        ([["a", 1]], [["a", 1]]),
        ("[]", []),
        ("abc", "abc"),
        (["abc"], ["abc"]),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_loras_may_be_a_list_or_json(value, entries):
    assert spelt({"loras": value}).fields == {"loras": entries}


@pytest.mark.parametrize("nothing", ["", None, "null"])
def test_loras_that_say_nothing_are_not_given(nothing):
    assert spelt({"loras": nothing}).fields == {}


def test_unknown_fields_are_told_and_dropped():
    given_ = {"prompt": "a", "outpaint_selections": ["Left"], "foo": 1, "advanced_params": {"bar": 1, "clip_skip": 2}}
    found = spelt(given_)
    assert found.fields == {"prompt": "a", "advanced_params": {"clip_skip": 2}}
    assert found.ignored == ("outpaint_selections", "foo", "advanced_params.bar")


def test_a_listing_reads_its_one_field_and_tells_the_rest():
    assert canonical({"endpoint": "all-models", "details": "true", "prompt": "a"}) == (
        "all-models",
        {"details": "true"},
        ("prompt",),
    )


def test_fields_of_an_endpoint_without_an_engine_part_are_kept():
    assert canonical_fields("describe-image", {"image": "x", "image_type": "Photo"}).ignored == ()


def test_the_input_is_left_as_it_was():
    given_ = {
        "endpoint": "text-to-image",
        "params": {"style": "a,b", "advanced_params": {"inpaint_mask_upload_checkbox": 1, "x": 2, "clip_skip": None}},
        "loras": [{"model_name": "a", "weight": None}, '{"model_name": "b"}'],
    }
    before = copy.deepcopy(given_)
    canonical(given_)
    assert given_ == before


def test_what_is_canonical_already_stays_as_it_is():
    once = spelt(
        {"style": "SAI Anime", "loras": '[["a", 1]]', "meta_scheme": "a111", "advanced_params": '{"clip_skip":1}'}
    )
    assert spelt(once.fields).fields == once.fields


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.sampled_from(["[", '"a"'])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner))
KNOWN = ["endpoint", "api_name", "params", "prompt", "loras", "advanced_params", "style_selections", *FIELD_ALIASES]


@settings(max_examples=200, deadline=None, database=None)
@given(st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=6), JSON, max_size=6))
def test_any_json_object_gives_a_known_endpoint_or_a_clear_refusal(given_):
    try:
        found = canonical(given_)
    except EngineError as error:
        assert str(error)
    else:
        assert found.endpoint in ENDPOINTS


def test_a_problem_is_told_under_the_old_name_of_a_field_where_that_was_used():
    problems = (Problem("unknown_name", ("body", "style_selections", 1), "unknown"),)
    told = as_written("text-to-image", {"prompt": "a", "params": {"style": ["x"]}}, problems)
    assert [problem.loc for problem in told] == [("body", "style", 1)]
    both = {"style": ["x"], "style_selections": ["y"]}
    assert as_written("text-to-image", both, problems) == problems
