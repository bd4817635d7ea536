"""The numbered fields of ``image-prompt``'s first generation, and where their problems are told."""

from __future__ import annotations

from typing import Any

import pytest

from fooocus_engine.endpoints.dialects import as_written, canonical
from fooocus_engine.errors import Problem

PLAIN = {"endpoint": "image-prompt", "prompt": "a cat"}


def listed(**fields: Any) -> Any:
    return canonical(PLAIN | fields).fields["image_prompts"]


def test_a_number_is_a_place_in_the_list():
    made = listed(cn_img3="x", cn_stop3="0.6", cn_type1="CPDS")
    assert made == [{"cn_type": "CPDS"}, {}, {"cn_img": "x", "cn_stop": "0.6"}, {}]


def test_what_is_left_empty_is_not_given():
    assert listed(cn_img3="x", cn_stop3="", cn_weight3=None)[2] == {"cn_img": "x"}


def test_numbered_fields_win_over_a_list_which_is_told_as_ignored():
    written = "{'cn_stop': 0.6, 'cn_weight': 0.6, 'cn_type': 'ImagePrompt'}"  # as documented clients send it
    made = canonical(PLAIN | {"cn_img1": "x", "image_prompts": [written]})
    assert made.fields["image_prompts"] == [{"cn_img": "x"}, {}, {}, {}]
    assert made.ignored == ("image_prompts",)


def test_other_endpoints_have_no_numbered_fields():
    made = canonical({"endpoint": "text-to-image-with-ip", "prompt": "a cat", "cn_img1": "x"})
    assert (made.fields, made.ignored) == ({"prompt": "a cat"}, ("cn_img1",))


@pytest.mark.parametrize("given", [{"cn_img1": "x"}, {"params": {"cn_weight4": 9}}, {"params": '{"cn_type2": "x"}'}])
def test_problems_are_told_at_the_numbered_fields(given):
    problems = (
        Problem("float_parsing", ("body", "image_prompts", 2, "cn_weight"), "must be a number"),
        Problem("missing", ("body", "image_prompts"), "is required"),
        Problem("missing", ("body", "input_mask"), "is required"),
    )
    told = as_written("image-prompt", PLAIN | given, problems)
    assert [problem.loc[1:] for problem in told] == [("cn_weight3",), ("cn_img1",), ("input_mask",)]


def test_problems_of_a_list_stay_where_they_are():
    problems = (Problem("missing", ("body", "image_prompts", 0, "cn_img"), "is required"),)
    assert as_written("image-prompt", PLAIN | {"image_prompts": [{}]}, problems) == problems
    assert as_written("text-to-image-with-ip", PLAIN | {"cn_img1": "x"}, problems) == problems
    assert as_written("image-prompt", "no object", problems) == problems


@pytest.mark.parametrize(
    "entries", ['[{"cn_img": "x"}]', '{"cn_img": "x"}', ['{"cn_img": "x"}'], [{"cn_img": "x", "cn_stop": ""}]]
)
def test_a_list_of_the_second_generation_is_read_from_text_too(entries):
    assert listed(image_prompts=entries) == [{"cn_img": "x"}]


def test_how_to_repaint_is_ignored_where_no_picture_is_given_to_repaint():
    repainting = {"input_mask": "m", "inpaint_additional_prompt": "eyes", "outpaint_distance_top": 3}
    made = canonical(PLAIN | repainting | {"outpaint_selections": ["Left"], "input_image": "none", "cn_img1": "x"})
    assert set(made.ignored) == {*repainting, "outpaint_selections"}
    assert set(made.fields) == {"prompt", "image_prompts", "input_image"}
    made = canonical(PLAIN | {"input_image": "x", "outpaint_selections": ["Left"]})
    assert made.fields["outpaint_selections"] == ["Left"]
