"""How refusals are worded and echoed."""

import json
from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from fooocus_engine.endpoints.problems import validated
from fooocus_engine.errors import InvalidRequest, Problem, shortened


class Inner(BaseModel):
    share: Annotated[float, Field(ge=0, le=1)] = 0


class Outer(BaseModel):
    count: Annotated[int, Field(ge=2)] = 2
    parts: tuple[Inner, ...] = ()


def problem(fields: dict[str, object]) -> Problem:
    with pytest.raises(InvalidRequest) as caught:
        validated(Outer, fields)
    (found,) = caught.value.problems
    return found


def test_a_range_is_told_whole_also_deep_inside_a_list():
    found = problem({"parts": [{"share": 0}, {"share": 2}]})
    assert (found.loc, found.msg) == (("body", "parts", 1, "share"), "must be from 0 to 1; got 2")


def test_a_range_with_an_open_end_is_told_in_pydantics_words():
    assert problem({"count": 1}).msg == "Input should be greater than or equal to 2; got 1"


def test_good_fields_give_the_model():
    assert validated(Outer, {"count": "3"}) == Outer(count=3)


@pytest.mark.parametrize(
    ("value", "echo"),
    [
        (float("nan"), "nan"),
        ([float("-inf"), 1.5], ["-inf", 1.5]),
        ({"a": {"b": {"c": [1]}}}, {"a": {"b": {"c": "…"}}}),
        ("\ud800", "?"),
        (None, None),
        (True, True),
    ],
)
def test_an_echo_is_fit_for_strict_json(value, echo):
    assert shortened(value) == echo
    json.dumps(shortened(value), allow_nan=False, ensure_ascii=False).encode("utf-8")
