"""Wildcards of files, by seed and in order."""

from __future__ import annotations

import logging
import random
from pathlib import Path

import pytest

from fooocus_engine.errors import InvalidRequest
from fooocus_engine.prompts.wildcards import SHIPPED, WildcardFiles
from tests.golden.records import Record
from tests.prompts.recorded import records, tiny_words

LETTERS = WildcardFiles({"letter": ("a", "b", " c ")})


@pytest.mark.parametrize("record", records("wildcards"), ids=lambda record: record.id)
def test_wildcards_are_filled_as_recorded_with_as_many_draws(record: Record):
    settings = record.settings
    rng = random.Random(settings["rng_seed"])
    text = tiny_words().wildcards.apply(settings["text"], rng, index=settings["index"], in_order=settings["in_order"])
    assert {"text": text, "next_random": rng.random()} == record.data


def test_lines_are_taken_as_they_stand():
    assert LETTERS.apply("x__letter__y", random.Random(0), index=2, in_order=True) == "x c y"


def test_two_wildcards_of_one_pass_draw_twice():
    rng, twin = random.Random(7), random.Random(7)
    lines = LETTERS.lines["letter"]
    drawn = [twin.choice(lines), twin.choice(lines)]
    assert LETTERS.apply("__letter__|__letter__", rng, index=0, in_order=False) == "|".join(drawn)


def test_later_folders_replace_earlier_ones_by_name(tmp_path: Path):
    for folder, name, text in (("one", "a", "1"), ("one", "b", "1"), ("two/sub", "a", "2\n\n3"), ("two", "a", "4")):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / f"{name}.txt").write_text(text, encoding="utf-8")
    files = WildcardFiles.load([tmp_path / "one", tmp_path / "two", tmp_path / "missing"])
    assert files.lines == {"a": ("2", "3"), "b": ("1",)}  # of folder two, the deeper file comes first


def test_a_file_that_is_not_text_counts_as_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\x00")
    with caplog.at_level(logging.WARNING):
        files = WildcardFiles.load([tmp_path])
    assert files.apply("__bad__ cat", random.Random(0), index=0, in_order=False) == "bad cat"
    assert "bad.txt" in caplog.text


def test_a_name_cannot_lead_out_of_the_folders(tmp_path: Path):
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "inside").mkdir()
    files = WildcardFiles.load([tmp_path / "inside"])
    assert files.apply("__../secret__ __secret__", random.Random(0), index=0, in_order=False) == "__../secret__ secret"


def test_a_wildcard_that_doubles_itself_is_refused():
    files = WildcardFiles({"twice": ("x __twice__ __twice__",)})
    with pytest.raises(InvalidRequest, match="100000 characters"):
        files.apply("__twice__", random.Random(0), index=0, in_order=False)


def test_the_refusal_names_the_field_that_the_text_came_from():
    files = WildcardFiles({"twice": ("x __twice__ __twice__",)})
    with pytest.raises(InvalidRequest) as refused:
        files.apply("__twice__", random.Random(0), index=0, in_order=False, loc=("body", "elsewhere"))
    assert refused.value.problems[0].loc == ("body", "elsewhere")


def test_shipped_wildcards_have_lines_and_name_only_each_other():
    files = WildcardFiles.load([SHIPPED])
    assert files.lines
    for name, lines in files.lines.items():
        assert lines, name
        for index in range(len(lines)):
            assert "__" not in files.apply(f"__{name}__", random.Random(0), index=index, in_order=True), name
