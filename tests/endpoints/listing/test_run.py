"""The answers to listing questions, from fakes."""

from pathlib import Path

from fooocus_engine.endpoints.listing import run


class FakeCatalogue:
    """A folder of files; counts how often it was looked at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.looks = 0

    def names(self, kind: str) -> list[str]:
        self.looks += 1
        folder = self.root / kind
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors"))

    def find(self, kind: str, name: str) -> Path:
        return self.root / kind / name


class FakeStore:
    released = 0

    def release(self) -> None:
        self.released += 1


def catalogue(root: Path) -> FakeCatalogue:
    for name, size in (
        ("checkpoints/a.safetensors", 3),
        ("checkpoints/sub/b.safetensors", 5),
        ("loras/c.safetensors", 7),
    ):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return FakeCatalogue(root)


def test_the_models_answer_has_exactly_the_two_documented_lists(tmp_path):
    assert run.list_models(catalogue(tmp_path)) == {
        "model_filenames": ["a.safetensors", "sub/b.safetensors"],
        "lora_filenames": ["c.safetensors"],
    }


def test_a_file_that_came_later_is_listed_the_next_time(tmp_path):
    files = catalogue(tmp_path)
    run.list_models(files)
    (tmp_path / "loras" / "d.safetensors").write_bytes(b"")
    assert run.list_models(files)["lora_filenames"] == ["c.safetensors", "d.safetensors"]


def test_details_tell_every_file_and_the_presets(tmp_path):
    answer = run.list_models_in_detail(catalogue(tmp_path), kinds=["checkpoints", "loras", "vae"], presets=["default"])
    assert list(answer) == ["model_filenames", "lora_filenames", "files", "presets"]
    assert answer["presets"] == ["default"]
    assert answer["files"] == [
        {"name": "a.safetensors", "kind": "checkpoints", "bytes": 3, "folder": "checkpoints"},
        {"name": "sub/b.safetensors", "kind": "checkpoints", "bytes": 5, "folder": "checkpoints/sub"},
        {"name": "c.safetensors", "kind": "loras", "bytes": 7, "folder": "loras"},
    ]


def test_styles_are_told_in_their_order():
    assert run.list_styles(("Fooocus V2", "Random Style")) == ["Fooocus V2", "Random Style"]


def test_clean_vram_releases_the_models_and_says_ok():
    store = FakeStore()
    assert run.clean_vram(store) == {"message": "ok"}
    assert store.released == 1


def test_ping_answers_pong():
    assert run.ping() == {"message": "pong"}
