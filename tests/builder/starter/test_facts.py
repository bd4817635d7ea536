"""Facts as text and back."""

from __future__ import annotations

import pytest

from builder.starter.facts import Facts, Item, Told, read_told, told_by

LINE = "two yellow stars above a green square at night | night | 2 yellow star; 1 green square"
FACTS = Facts("night", (Item(2, "yellow", "star"), Item(1, "green", "square")))


def test_line_is_read():
    assert told_by(LINE) == Told("two yellow stars above a green square at night", FACTS)


def test_blank_lines_and_comments_are_passed_over():
    assert read_told(["# facts", "", LINE + "\n", "   ", "  # more"]) == [told_by(LINE)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a red circle", "want caption | background | number colour shape"),
        (" | gray | 1 red circle", "want caption | background | number colour shape"),
        ("c | dawn | 1 red circle", "unknown background 'dawn'; known: white, black"),
        ("c | gray | red circle", "'red circle' is not 'number colour shape'"),
        ("c | gray | 1 red circle;", "'' is not 'number colour shape'"),
        ("c | gray | one red circle", "a number is 1 to 9, got 'one'"),
        ("c | gray | 0 red circle", "a number is 1 to 9, got '0'"),
        ("c | gray | 1 teal circle", "unknown colour 'teal'; known: red, orange"),
        ("c | gray | 1 red cube", "unknown shape 'cube'; known: circle, square"),
        ("c | gray | 9 red circle; 1 blue circle", "at most 9 objects"),
    ],
)
def test_bad_line_is_named_with_what_is_allowed(line, message):
    with pytest.raises(ValueError) as caught:
        told_by(line)
    assert message in str(caught.value)
    assert repr(line.strip()) in str(caught.value)


def test_number_of_a_bad_line_is_told():
    with pytest.raises(ValueError, match=r"^line 3: bad line 'nonsense'"):
        read_told([LINE, "", "nonsense"])
