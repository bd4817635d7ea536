"""The answers to listing questions, from fakes."""

from pathlib import Path

from fooocus_engine.endpoints.generate.presets import presets
from fooocus_engine.endpoints.listing import run
from fooocus_engine.models.catalogue import InstalledFile, KnownFile


class FakeCatalogue:
    """A folder of files; counts how often it was looked at."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.looks = 0

    def names(self, kind: str) -> list[str]:
        self.looks += 1
        folder = self.root / kind
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors"))

    def installed(self, kind: str) -> list[InstalledFile]:
        sizes = {name: (self.root / kind / name).stat().st_size for name in self.names(kind)}
        return [InstalledFile(kind, name, size, shipped=name == "c.safetensors") for name, size in sizes.items()]


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


DEFAULT = presets()["default"]


def detailed(root: Path) -> dict:
    known = [KnownFile("loras", "c.safetensors", "https://x", ("a", "b")), KnownFile("sam", "s.pth", "https://x", ())]
    kinds = ["checkpoints", "loras", "vae"]
    return run.list_models_in_detail(catalogue(root), kinds=kinds, presets={"default": DEFAULT}, known=known)


def test_details_tell_every_file_and_where_it_lies(tmp_path):
    answer = detailed(tmp_path)
    assert list(answer)[:4] == ["model_filenames", "lora_filenames", "files", "presets"]
    assert answer["presets"] == ["default"]
    plain = {"kind": "checkpoints", "where": "models"}
    assert answer["files"] == [
        {"name": "a.safetensors", "bytes": 3, "folder": "checkpoints", **plain},
        {"name": "sub/b.safetensors", "bytes": 5, "folder": "checkpoints/sub", **plain},
        {"name": "c.safetensors", "kind": "loras", "bytes": 7, "folder": "loras", "where": "shipped"},
    ]


def test_details_tell_which_known_files_are_there(tmp_path):
    assert detailed(tmp_path)["known_files"] == [
        {"kind": "loras", "name": "c.safetensors", "needed_by": ("a", "b"), "where": "shipped"},
        {"kind": "sam", "name": "s.pth", "needed_by": (), "where": None},
    ]


def test_details_tell_the_presets_files_and_their_older_names(tmp_path):
    answer = detailed(tmp_path)
    assert answer["preset_files"]["default"] == [
        {"kind": "checkpoints", "name": DEFAULT.base_model_name, "where": None},
        {"kind": "loras", "name": "sd_xl_offset_example-lora_1.0.safetensors", "where": None},
    ]
    assert answer["previous_names"] == {DEFAULT.base_model_name: list(DEFAULT.previous_default_models)}


def test_the_files_of_a_preset_are_all_that_it_names_or_needs():
    assert run.files_of(presets()["lightning"])[1:] == [("loras", "sdxl_lightning_4step_lora.safetensors")]
    assert ("checkpoints", "sd_xl_refiner_1.0_0.9vae.safetensors") in run.files_of(presets()["sai"])
    assert ("vae", "ponyDiffusionV6XL_vae.safetensors") in run.files_of(presets()["pony_v6"])


def test_styles_are_told_in_their_order():
    assert run.list_styles(("Fooocus V2", "Random Style")) == ["Fooocus V2", "Random Style"]


def test_clean_vram_releases_the_models_and_says_ok():
    store = FakeStore()
    assert run.clean_vram(store) == {"message": "ok"}
    assert store.released == 1


def test_ping_answers_pong():
    assert run.ping() == {"message": "pong"}
