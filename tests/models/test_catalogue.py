"""The catalogue: known files, listing order, name guard, the shipped model standing in."""

import re

import pytest

from fooocus_engine.errors import ModelUnavailable
from fooocus_engine.models import vision_files
from fooocus_engine.models.catalogue import (
    CHECKPOINTS,
    CLIP_TOKENIZER,
    LORAS,
    VAE_APPROX,
    Catalogue,
    DefaultCheckpoint,
    files_below,
    is_plain_name,
    known_files,
)

DEFAULT = "juggernautXL_v8Rundiffusion.safetensors"


@pytest.fixture
def user(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def catalogue(user, tmp_path):
    put(tmp_path / "shipped", "checkpoints/tiny.safetensors", "loras/sdxl_lcm_lora.safetensors", "vae_approx/x.pth")
    return Catalogue(user, tmp_path / "shipped")


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_known_files_are_named_once_and_come_from_https():
    files = known_files()
    assert len({(file.kind, file.name) for file in files}) == len(files)
    assert all(file.source.startswith("https://") for file in files)
    assert all(file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256) for file in files)
    assert all(file.md5 is None or re.fullmatch("[0-9a-f]{32}", file.md5) for file in files)
    assert all(is_plain_name(file.name) and is_plain_name(file.kind) for file in files)


def test_the_clip_vocabulary_is_known_with_its_hash():
    hashes = {file.name: file.sha256 for file in known_files() if file.kind == CLIP_TOKENIZER}
    assert hashes["vocab.json"].startswith("e089ad92")  # prompt.md §12
    assert hashes["merges.txt"].startswith("9fd691f7")


def test_names_are_listed_bottom_up_and_without_regard_to_case(catalogue, user):
    put(user, *(f"loras/{name}" for name in ("b.safetensors", "A.ckpt", "Sub/z.bin", "sub2/deep/q.pth", "sub2/c.PTH")))
    put(user, "loras/notes.txt", "loras/inpaint.fooocus.patch", "loras/sub2/readme")
    assert catalogue.names(LORAS) == ["Sub/z.bin", "sub2/deep/q.pth", "sub2/c.PTH", "A.ckpt", "b.safetensors"]


def test_only_files_with_a_wanted_suffix_are_found(tmp_path):
    put(tmp_path, "b.txt", "A.txt", "c.TXT", "sub/z.txt", "sub/deep/y.txt", "Other/x.txt", "note.md")
    found = [path.relative_to(tmp_path).as_posix() for path in files_below(tmp_path, [".txt"])]
    assert found == ["Other/x.txt", "sub/deep/y.txt", "sub/z.txt", "A.txt", "b.txt", "c.TXT"]


def test_a_linked_folder_is_not_entered(tmp_path):
    put(tmp_path, "outside/secret.txt", "inside/own.txt")
    (tmp_path / "inside" / "link").symlink_to(tmp_path / "outside", target_is_directory=True)
    assert [path.name for path in files_below(tmp_path / "inside", [".txt"])] == ["own.txt"]


def test_an_absent_folder_lists_nothing(catalogue):
    assert catalogue.names("vae") == []


def test_shipped_checkpoints_are_listed_last_and_once(catalogue, user):
    put(user, "checkpoints/z.safetensors", "checkpoints/a.safetensors")
    assert catalogue.names(CHECKPOINTS) == ["a.safetensors", "z.safetensors", "tiny.safetensors"]
    put(user, "checkpoints/tiny.safetensors")
    assert catalogue.names(CHECKPOINTS).count("tiny.safetensors") == 1


def test_a_new_file_is_seen_at_the_next_question(catalogue, user):
    assert not catalogue.has(LORAS, "new.safetensors")
    put(user, "loras/new.safetensors")
    assert catalogue.find(LORAS, "new.safetensors") == user / "loras/new.safetensors"


def test_shipped_companions_are_used_with_a_shipped_base_only(catalogue, user, tmp_path):
    name = "sdxl_lcm_lora.safetensors"
    with pytest.raises(ModelUnavailable):
        catalogue.find(LORAS, name)
    assert catalogue.names(LORAS) == []
    put(user, f"loras/{name}", "loras/mine.safetensors")
    assert catalogue.find(LORAS, name) == user / "loras" / name
    assert catalogue.find(LORAS, name, embedded=True) == tmp_path / "shipped/loras" / name
    assert catalogue.find(LORAS, "mine.safetensors", embedded=True) == user / "loras/mine.safetensors"
    assert catalogue.names(LORAS, embedded=True) == [name, "mine.safetensors"]


def test_folders_of_a_shipped_base_are_the_shipped_ones_where_they_exist(catalogue, user, tmp_path):
    assert catalogue.folder(VAE_APPROX) == user / VAE_APPROX
    assert catalogue.folder(VAE_APPROX, embedded=True) == tmp_path / "shipped" / VAE_APPROX
    assert catalogue.folder("embeddings", embedded=True) == user / "embeddings"


def test_a_checkpoint_is_shipped_unless_the_user_has_one_of_that_name(catalogue, user):
    assert catalogue.is_embedded("tiny.safetensors")
    assert not catalogue.is_embedded("gone.safetensors")
    put(user, "checkpoints/tiny.safetensors")
    assert not catalogue.is_embedded("tiny.safetensors")


OUTSIDE = [
    "../secret",
    "a/../../secret",
    "/etc/passwd",
    "",
    ".",
    "a\x00b",
    "..\\secret",
    "C:\\secret",
    "c:secret",
    "\\\\h\\s",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_lead_out_are_never_found(catalogue, user, name):
    put(user, "secret", "loras/a/x")
    assert not catalogue.has(LORAS, name)
    with pytest.raises(ModelUnavailable):
        catalogue.find(LORAS, name)


@pytest.mark.parametrize("name", ["a.safetensors", "sub/a.safetensors", "..a", "a..b/c", "ü 1.ckpt"])
def test_ordinary_names_are_plain(name):
    assert is_plain_name(name)


def test_a_linked_file_inside_the_folder_is_found(catalogue, user, tmp_path):
    put(tmp_path, "elsewhere/big.safetensors")
    put(user, "checkpoints/small.safetensors")
    (user / "checkpoints/big.safetensors").symlink_to(tmp_path / "elsewhere/big.safetensors")
    assert catalogue.has(CHECKPOINTS, "big.safetensors")
    assert "big.safetensors" in catalogue.names(CHECKPOINTS)


EARLIER = ("juggernautXL_version7Rundiffusion.safetensors", "juggernautXL_v6Rundiffusion.safetensors")


def test_the_default_checkpoint_is_itself_where_installed(catalogue, user):
    put(user, f"checkpoints/{DEFAULT}", f"checkpoints/{EARLIER[1]}")
    assert catalogue.default_checkpoint(DEFAULT, EARLIER) == DefaultCheckpoint(DEFAULT, shipped=False)


def test_an_earlier_default_stands_in_newest_first(catalogue, user):
    put(user, *(f"checkpoints/{name}" for name in EARLIER))
    assert catalogue.default_checkpoint(DEFAULT, EARLIER) == DefaultCheckpoint(EARLIER[0], shipped=False)


def test_the_shipped_model_stands_in_only_without_any_checkpoint(catalogue, user):
    assert catalogue.default_checkpoint(DEFAULT, EARLIER) == DefaultCheckpoint("tiny.safetensors", shipped=True)
    put(user, "checkpoints/other.safetensors")
    with pytest.raises(ModelUnavailable, match="juggernautXL_v8"):
        catalogue.default_checkpoint(DEFAULT, EARLIER)


def test_a_shipped_default_asked_for_by_name_is_no_stand_in(catalogue):
    assert catalogue.default_checkpoint("tiny.safetensors", ()) == DefaultCheckpoint("tiny.safetensors", shipped=False)


def test_an_embedding_is_found_by_its_stem_and_in_sub_folders(catalogue, user):
    put(user, "embeddings/style.safetensors", "embeddings/deep/other.pt")
    assert catalogue.find_embedding("style") == user / "embeddings/style.safetensors"
    assert catalogue.find_embedding("style.safetensors") == user / "embeddings/style.safetensors"
    assert catalogue.find_embedding("other") == user / "embeddings/deep/other.pt"
    assert catalogue.find_embedding("missing") is None


def test_an_embedding_outside_the_folder_is_not_found(catalogue, user):
    put(user, "secret.safetensors", "embeddings/style.safetensors")
    assert catalogue.find_embedding("../secret") is None
    assert catalogue.find_embedding("*") is None
    assert catalogue.find_embedding("x" * 10_000) is None


def test_installed_files_are_told_with_their_place_known_ones_whatever_their_suffix(catalogue, user):
    put(user, "inpaint/u2net.onnx", "inpaint/mine.pth", "inpaint/notes.md", "loras/sdxl_lcm_lora.safetensors")
    found = catalogue.installed("inpaint")
    assert [(file.name, file.shipped) for file in found] == [("mine.pth", False), ("u2net.onnx", False)]
    assert [(file.kind, file.name, file.shipped) for file in catalogue.installed(LORAS)] == [
        (LORAS, "sdxl_lcm_lora.safetensors", False),
        (LORAS, "sdxl_lcm_lora.safetensors", True),
    ]


def test_a_missing_known_file_is_told_with_its_place_and_what_bakes_it(catalogue, user):
    with pytest.raises(ModelUnavailable) as error:
        catalogue.find("inpaint", "u2net.onnx")
    assert str(error.value) == (
        "model file 'u2net.onnx' is not installed in inpaint (put it there, or bake an image with feature 'mask')"
    )
    with pytest.raises(ModelUnavailable, match=r"'mine\.onnx' is not installed in inpaint$"):
        catalogue.find("inpaint", "mine.onnx")


def test_every_network_that_looks_at_pictures_is_known_with_its_source():
    known = {(file.kind, file.name): file for file in known_files()}
    wanted = [*vision_files.BACKGROUNDS.values(), *vision_files.SEGMENTERS.values()]
    wanted += [getattr(vision_files, name) for name in ("WORDS", "CAPTIONER", "TAGGER", "TAGS", "CHECKER", "DETECTOR")]
    assert len(wanted) == 16
    for file in wanted:
        assert known[file].needed_by
    assert all(known[file].md5 for file in vision_files.BACKGROUNDS.values())
