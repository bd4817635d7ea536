"""The order in which text files are found."""

from __future__ import annotations

from pathlib import Path

from fooocus_engine.prompts.listing import text_files


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")


def test_deeper_folders_come_first_and_case_does_not_count(tmp_path: Path):
    write(tmp_path, "b.txt", "A.txt", "c.TXT", "sub/z.txt", "sub/deep/y.txt", "Other/x.txt", "note.md")
    found = [path.relative_to(tmp_path).as_posix() for path in text_files(tmp_path, ".txt")]
    assert found == ["Other/x.txt", "sub/deep/y.txt", "sub/z.txt", "A.txt", "b.txt", "c.TXT"]


def test_a_missing_folder_is_empty(tmp_path: Path):
    assert list(text_files(tmp_path / "none", ".txt")) == []


def test_a_linked_folder_is_not_entered(tmp_path: Path):
    write(tmp_path / "outside", "secret.txt")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    assert list(text_files(inside, ".txt")) == []
