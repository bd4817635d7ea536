"""Style files, their names and their texts."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fooocus_engine.errors import ModelUnavailable, UnknownName
from fooocus_engine.prompts.styles import EXPANSION_STYLE, RANDOM_STYLE, Styles, load_styles, normalised
from tests.golden.records import Record
from tests.prompts.recorded import records, tiny_words

EXPECTED_NAMES = Path(__file__).with_name("style_names.txt").read_text(encoding="utf-8").splitlines()


def write(folder: Path, name: str, entries: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(entries), encoding="utf-8")


def names(styles: Styles) -> list[str]:
    return [style.name for style in styles.entries]


def test_the_styles_of_a_folder_are_loaded_as_recorded():
    (record,) = records("styles")
    found = {style.name: [style.prompt, style.negative_prompt] for style in tiny_words().styles.entries}
    assert list(found.items()) == list(record.data.items())


@pytest.mark.parametrize("record", records("apply_style"), ids=lambda record: record.id)
def test_a_style_is_applied_as_recorded(record: Record):
    lines = tiny_words().styles.find(record.settings["style"]).apply(record.settings["positive"])
    assert [list(lines.positive), list(lines.negative), lines.holds_prompt] == record.data


@pytest.mark.parametrize("record", records("random_style"), ids=lambda record: record.id)
def test_random_styles_are_drawn_as_recorded(record: Record):
    rng = random.Random(record.settings["rng_seed"])
    assert [tiny_words().styles.draw(rng).name for _ in record.data] == record.data


def test_the_shipped_styles_have_the_names_of_the_reference_in_its_order():
    assert list(load_styles().legal_names()) == EXPECTED_NAMES


@pytest.mark.parametrize(
    ("seed", "style", "number"),
    [
        (0, "Op Art", 1722),
        (1, "Artstyle Psychedelic", 2331),
        (12345, "Watercolor 2", 41),
        (2**63 - 1, "Doodle Art", 2689),
    ],
)  # prompt.md §4
def test_a_seed_draws_the_published_style(seed: int, style: str, number: int):
    rng = random.Random(seed)
    assert (load_styles().draw(rng).name, rng.choice(range(2765))) == (style, number)


def test_no_shipped_style_names_the_prompt_twice_or_breaks_a_line():
    for style in load_styles().entries:
        assert style.prompt.count("{prompt}") <= 1, style.name
        assert "{prompt}" not in style.negative_prompt, style.name
        assert "\n" not in style.prompt + style.negative_prompt, style.name


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("sai-3d-model", "SAI 3D Model"),
        ("mre-sumi-e detailed", "MRE Sumi E Detailed"),
        ("MK Mosaic", "Mk Mosaic"),
        ("flat 2d Art", "Flat 2d Art"),
        ("ads-(sale)  x", "Ads (Sale)  X"),
    ],
)
def test_names_are_normalised(name: str, listed: str):
    assert normalised(name) == listed


def test_names_are_found_exactly_and_then_without_case():
    styles = tiny_words().styles
    assert styles.canonical("sai 3d model") == "SAI 3D Model"
    assert styles.canonical("fooocus v2") == EXPANSION_STYLE
    assert styles.canonical("RANDOM STYLE") == RANDOM_STYLE
    assert styles.find("fooocus sharp").name == "Fooocus Sharp"


def test_an_unknown_style_is_refused_with_near_names():
    with pytest.raises(UnknownName, match="Fooocus Sharp") as refused:
        tiny_words().styles.canonical("Fooocus Shar", ("body", "style_selections", 1))
    assert refused.value.problems[0].loc == ("body", "style_selections", 1)


@pytest.mark.parametrize("name", [EXPANSION_STYLE, RANDOM_STYLE])
def test_a_special_name_has_no_texts(name: str):
    with pytest.raises(UnknownName):
        tiny_words().styles.find(name)


def test_a_file_laid_over_changes_words_and_no_order(tmp_path: Path):
    shipped, upstream = tmp_path / "shipped", tmp_path / "upstream"
    write(shipped, "sdxl_styles_sai.json", [{"name": "a", "prompt": "ours {prompt}"}, {"name": "b"}])
    write(upstream, "other.json", [{"name": "new"}])
    write(upstream, "sdxl_styles_sai.json", [{"name": "B", "prompt": "x"}, {"name": "A", "prompt": "theirs {prompt}"}])
    styles = load_styles([shipped, tmp_path / "missing", upstream])
    assert names(styles) == ["A", "B", "New"]
    assert styles.find("A").prompt == "theirs {prompt}"


def test_a_broken_file_ends_at_its_first_bad_entry(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write(tmp_path, "a.json", [{"name": "first"}, {"prompt": "no name"}, {"name": "third"}])
    write(tmp_path, "b.json", [{"name": "fourth", "prompt": 5}])
    write(tmp_path, "c.json", 7)
    (tmp_path / "d.json").write_text("[{", encoding="utf-8")
    write(tmp_path, "e.json", [{"name": "fifth"}])
    with caplog.at_level(logging.WARNING):
        styles = load_styles([tmp_path])
    assert names(styles) == ["First", "Fifth"]
    assert [name for name in "abcde" if f"{name}.json" in caplog.text] == ["a", "b", "c", "d"]


def test_a_random_style_needs_style_files(tmp_path: Path):
    with pytest.raises(ModelUnavailable):
        load_styles([tmp_path]).draw(random.Random(0))


def test_importing_the_names_loads_nothing_heavy():
    code = "import sys, fooocus_engine.prompts.styles\n"
    code += (
        "sys.exit(', '.join(m for m in ('torch', 'transformers', 'numpy', 'pydantic', 'PIL') if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
