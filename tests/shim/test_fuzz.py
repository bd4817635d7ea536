"""A short run of the fuzz; `make fuzz` is the long one."""

from __future__ import annotations

from tests.shim.fuzz import fuzzed


def test_answers_are_as_documented(tmp_path):
    answers = fuzzed(tmp_path, least=100, seed=0)
    assert {200, 404, 422} <= set(answers)
