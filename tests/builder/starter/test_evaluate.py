"""The command: what it prints, its last line and its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.starter.evaluate import main, read
from builder.starter.rows import held_out
from builder.starter.scoring import Facts, Item
from fooocus_engine.errors import ModelUnavailable
from tests.builder.starter.studios import TruthStudio

LINES = """# two pictures
two yellow stars above a green square at night | night | 2 yellow star; 1 green square

a red circle on white | white | 1 red circle
"""


class Opened(TruthStudio):
    """A studio that is entered and left."""

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *error) -> None:
        pass


def run(*arguments: str, told, capsys, **more) -> tuple[object, list[str]]:
    """Exit status and lines."""
    with pytest.raises(SystemExit) as stop:
        main(arguments, lambda models, model: Opened(told, **more))
    return stop.value.code, capsys.readouterr().out.splitlines()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "captions.txt"
    path.write_text(LINES, encoding="utf-8")
    return path


def test_a_file_of_captions_is_read_with_its_facts(file):
    assert [each.facts for each in read(file)] == [
        Facts("night", (Item(2, "yellow", "star"), Item(1, "green", "square"))),
        Facts("white", (Item(1, "red", "circle"),)),
    ]


def test_captions_that_are_painted_right_end_well(file, capsys):
    status, lines = run("--captions", str(file), told=read(file), capsys=capsys)
    assert status == 0
    assert lines[-1] == "background 1.000, count 1.000, colour 1.000, shape 1.000; 0 targets missed"
    assert lines[0].split() == ["background", "(n=2)", "1.000", ">=", "0.95"]
    assert len(lines) == 6


def test_captions_that_are_painted_wrong_end_with_status_1(file, capsys):
    status, lines = run("--captions", str(file), told=[], capsys=capsys)
    assert status == 1
    assert lines[-1] == "background 0.000, count 0.000, colour 0.000, shape 0.000; 4 targets missed"
    assert [line.endswith("MISSED") for line in lines[:5]] == [True] * 4 + [False]


def test_a_brief_evaluation_scores_the_held_out_captions_alone(capsys):
    status, lines = run("--brief", "--count", "5", told=held_out(5), capsys=capsys)
    assert (status, len(lines)) == (0, 6)
    assert "(n=5)" in lines[0]


def test_a_whole_evaluation_without_companions_comes_to_its_last_line(capsys):
    class Bare(Opened):
        def has(self, kind: str, file: str) -> bool:
            return False

    with pytest.raises(SystemExit) as stop:
        main(["--count", "5"], lambda models, model: Bare(held_out(5)))
    lines = capsys.readouterr().out.splitlines()
    assert stop.value.code == 1
    assert sum("is not installed" in line and line.endswith("MISSED") for line in lines) == 8
    assert lines[-1].endswith("targets missed")


def test_a_model_that_is_not_there_and_a_bad_file_are_told_in_one_line(tmp_path, capsys):
    def nothing(models: Path, model: str | None) -> Opened:
        raise ModelUnavailable("x.safetensors is no file")

    bad = tmp_path / "captions.txt"
    bad.write_text("a red cube | white | 1 red cube\n", encoding="utf-8")
    for arguments, message in ([], "x.safetensors is no file"), (["--captions", str(bad)], "unknown shape 'cube'"):
        with pytest.raises(SystemExit) as stop:
            main(arguments, nothing)
        assert stop.value.code == 2
        assert message in capsys.readouterr().err.splitlines()[-1]
