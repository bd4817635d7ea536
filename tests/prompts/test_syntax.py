"""Lines, LoRA tags, arrays and emphasis."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fooocus_engine.prompts.syntax import (
    choose_arrays,
    emphasis,
    merged_loras,
    prompt_lines,
    safe_str,
    take_inline_loras,
)
from tests.golden.records import Record
from tests.prompts.recorded import records


@pytest.mark.parametrize("record", records("safe_str"), ids=lambda record: record.id)
def test_texts_are_cleaned_as_recorded(record: Record):
    assert safe_str(record.settings["text"]) == record.data


@given(st.text(alphabet="ab ,.\n", max_size=30))
def test_cleaning_twice_changes_nothing_more(text: str):
    assert safe_str(safe_str(text)) == safe_str(text)


def test_lines_are_cleaned_and_empty_ones_dropped():
    assert prompt_lines(" a,\n\n.. \r\nb  c") == ["a", "b c"]


@pytest.mark.parametrize("text", ["", " \n, .\n"])
def test_a_text_without_words_is_one_empty_line(text: str):
    assert prompt_lines(text) == [""]


@pytest.mark.parametrize("record", records("arrays"), ids=lambda record: record.id)
def test_arrays_are_chosen_as_recorded(record: Record):
    assert choose_arrays(record.settings["text"], record.settings["index"]) == record.data


def test_arrays_go_through_every_combination_once():
    chosen = [choose_arrays("[[a,b,c]] [[1,2]]", index) for index in range(6)]
    assert chosen == ["a 1", "b 1", "c 1", "a 2", "b 2", "c 2"]
    assert choose_arrays("[[a,b,c]] [[1,2]]", 6) == "a 1"


@pytest.mark.parametrize("record", records("inline_lora"), ids=lambda record: record.id)
def test_lora_tags_are_taken_as_recorded(record: Record):
    asked = record.settings
    line, found = take_inline_loras(asked["prompt"], asked["known_files"], None)
    loras = merged_loras([(name, weight) for name, weight in asked["loras"]], found, asked["limit"])
    assert {"prompt": line, "loras": [list(lora) for lora in loras]} == record.data


def test_a_tag_finds_the_first_file_of_its_stem_in_any_folder():
    known = ["deep/fox.safetensors", "fox.ckpt", "fox.v2.safetensors"]
    assert take_inline_loras("<lora:fox:1>", known, None) == ("", [("deep/fox.safetensors", 1.0)])
    assert take_inline_loras("<lora:fox.v2:1>", known, None) == ("", [("fox.v2.safetensors", 1.0)])


def test_the_excluded_file_is_not_found_in_any_folder_but_its_tag_goes():
    assert take_inline_loras("cat <lora:fast:1>", ["sub/fast.safetensors"], "fast.safetensors") == ("cat", [])


@pytest.mark.parametrize("tag", ["<LORA:a:1>", "<lora:a: 1>", "<lora:a:1e3>", "<lora::1>", "<lora:a>", "<lora:A:1>"])
def test_only_the_exact_form_and_name_are_a_tag(tag: str):
    assert take_inline_loras(tag, ["a.safetensors"], None)[1] == []


def test_one_file_with_two_weights_is_kept_twice():
    found = [("a", 1.0), ("a", 0.5), ("a", 1.0)]
    assert merged_loras([], found, 5) == [("a", 1.0), ("a", 0.5)]


def test_the_limit_holds_only_when_the_prompt_adds_something():
    requested = [("a", 1.0), ("b", 1.0), ("c", 1.0)]
    assert merged_loras(requested, [("a", 0.2)], 2) == requested
    assert merged_loras(requested, [("d", 0.2)], 2) == requested[:2]


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("a (cat) b", [("a ", 1), ("cat", 1.1), (" b", 1)]),
        ("((cat))", [("cat", 1.1 * 1.1)]),
        ("(a (b:1.5) c:0.8)", [("a ", 0.8), ("b", 1.5), (" c", 0.8)]),
        ("(a:1.2, b:0.5)", [("a:1.2, b", 0.5)]),
        ("(:1.3)", [(":1.3", 1.1)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(cat:1.2", [("(cat:1.2", 1)]),
        ("a ) b (c) d", [("a ) b (c) d", 1)]),
        ("()", []),
        ("", []),
        (" ( spaced : 1.4 ) ", [(" ", 1), (" spaced ", 1.4), (" ", 1)]),
        (r"\(x\) (y:1.3)", [("(x) ", 1), ("y", 1.3)]),
        (r"(a \)", [("(a )", 1)]),
        (r"(a\):1.2)", [("a)", 1.2)]),
        ("(a (b)", [("a ", 1.1), ("(b", 1.1)]),
        ("[a] BREAK b\\c", [("[a] BREAK b\\c", 1)]),
        ("(a\nb:2)", [("a\nb", 2)]),
    ],
)  # prompt.md §11, then its rules worked by hand
def test_emphasis_follows_the_grammar(text: str, segments: list[tuple[str, float]]):
    assert emphasis(text) == segments


def test_emphasis_takes_any_depth():
    depth = 200_000  # more than Python lets a function call itself; hours, were each level read anew
    assert emphasis("(" * depth + "cat:0.5" + ")" * depth) == [("cat", 0.5)]
    assert emphasis("(" * depth + "cat:0.5" + ")" * 7) == [("(" * (depth - 7) + "cat", 0.5)]


def split(text: str) -> list[str]:
    """The character machine of prompt.md §11."""
    items, current, level = [], "", 0
    for character in text:
        if character == "(":
            if level == 0:
                items.append(current)
                current = ""
            current, level = current + "(", level + 1
        elif character == ")":
            current, level = current + ")", level - 1
            if level == 0:
                items.append(current)
                current = ""
        else:
            current += character
    return [item for item in (*items, current) if item]


def weights(text: str, weight: float) -> list[tuple[str, float]]:
    """The recursion of prompt.md §11, as it is written there."""
    found = []
    for item in split(text):
        if len(item) < 2 or item[0] != "(" or item[-1] != ")":
            found.append((item, weight))
            continue
        item, inner = item[1:-1], weight * 1.1
        colon = item.rfind(":")
        if colon > 0:
            with suppress(ValueError):
                inner = float(item[colon + 1 :])
                item = item[:colon]
        found += weights(item, inner)
    return found


@given(st.text(alphabet="ab()():1. ", max_size=60) | st.text(alphabet="()a:1\\", max_size=60))
@settings(max_examples=1000)
def test_emphasis_is_what_the_recursion_of_the_specification_gives(text: str):
    marked = text.replace("\\)", "}").replace("\\(", "{")
    assert emphasis(text) == [(s.replace("}", ")").replace("{", "("), w) for s, w in weights(marked, 1.0)]


@given(st.text(alphabet="ab ,:.1[]\n", max_size=40))
def test_a_text_without_parentheses_is_one_segment_of_weight_one(text: str):
    assert emphasis(text) == ([(text, 1.0)] if text else [])


@given(st.text(alphabet="ab(:1)\\", max_size=40))
def test_emphasis_never_fails_and_never_gives_an_empty_segment(text: str):
    assert all(segment for segment, _ in emphasis(text))
