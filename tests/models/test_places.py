"""Baked models, the platform's cached one and the network volume, in that order."""

import pytest

from fooocus_engine.models.catalogue import CHECKPOINTS, CLIP_TOKENIZER, INPAINT, LORAS, VAES
from fooocus_engine.models.places import installed
from fooocus_engine.settings import Settings

HUB = "huggingface-cache/hub"


def put(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(root.name.encode())


@pytest.fixture
def volume(tmp_path):
    return tmp_path / "volume"


@pytest.fixture
def baked(tmp_path):
    return tmp_path / "baked"


@pytest.fixture
def settings(volume, baked):
    return Settings(models_dir=baked, volume_dir=volume)


def cached(volume, repository, *names, revision="abc1"):
    """A repository as the hub's cache holds it: files are links to blobs."""
    folder = volume / HUB / f"models--{repository}"
    put(folder, "refs/main", *(f"blobs/{index}" for index in range(len(names))))
    (folder / "refs/main").write_text(revision)
    snapshot = folder / "snapshots" / revision
    for index, name in enumerate(names):
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(folder / "blobs" / str(index))
    return snapshot


def own(catalogue, kind=CHECKPOINTS):
    return [name for name in catalogue.names(kind) if not catalogue.is_embedded(name)]


def test_nothing_anywhere_is_the_shipped_model_alone(settings):
    catalogue = installed(settings)
    assert own(catalogue) == []
    assert catalogue.default_checkpoint("x.safetensors", ()).shipped


def test_baked_comes_before_cached_before_the_volume(settings, baked, volume):
    put(baked, "checkpoints/a.safetensors")
    snapshot = cached(
        volume, "own--models", "checkpoints/a.safetensors", "checkpoints/b.safetensors", "loras/l.safetensors"
    )
    put(volume, "models/checkpoints/b.safetensors", "models/checkpoints/c.safetensors", "models/vae/v.safetensors")
    catalogue = installed(settings)
    assert own(catalogue) == ["a.safetensors", "b.safetensors", "c.safetensors"]
    assert catalogue.find(CHECKPOINTS, "a.safetensors") == baked / "checkpoints/a.safetensors"
    assert catalogue.find(CHECKPOINTS, "b.safetensors") == snapshot / "checkpoints/b.safetensors"
    assert catalogue.find(CHECKPOINTS, "c.safetensors") == volume / "models/checkpoints/c.safetensors"
    assert (own(catalogue, LORAS), own(catalogue, VAES)) == (["l.safetensors"], ["v.safetensors"])


def test_the_top_of_a_published_model_is_a_folder_of_checkpoints(settings, volume):
    snapshot = cached(
        volume, "org--name", "model.safetensors", "unet/part.safetensors", "vae/part.safetensors", "README.md"
    )
    catalogue = installed(settings)
    assert own(catalogue) == ["model.safetensors"]
    assert catalogue.find(CHECKPOINTS, "model.safetensors") == snapshot / "model.safetensors"
    assert not catalogue.has(CHECKPOINTS, "unet/part.safetensors")
    assert own(catalogue, VAES) == []
    assert not catalogue.default_checkpoint("model.safetensors", ()).shipped


def test_installed_files_are_those_of_every_place_each_name_once(settings, baked, volume):
    put(baked, "checkpoints/a.safetensors", "inpaint/u2net.onnx")
    snapshot = cached(volume, "org--name", "model.safetensors", "unet/part.safetensors")
    put(volume, "models/checkpoints/a.safetensors", "models/checkpoints/c.ckpt", "models/inpaint/u2netp.onnx")
    (volume / "models/checkpoints/a.safetensors").write_bytes(b"another of that name")
    catalogue = installed(settings)
    found = [file for file in catalogue.installed(CHECKPOINTS) if not file.shipped]
    assert [(file.name, file.bytes) for file in found] == [
        ("a.safetensors", len(b"baked")),
        ("c.ckpt", len(b"volume")),
        ("model.safetensors", (snapshot / "model.safetensors").stat().st_size),
    ]
    assert [file.name for file in catalogue.installed(INPAINT)] == ["u2net.onnx", "u2netp.onnx"]
    assert [file.name for file in catalogue.installed(CHECKPOINTS) if file.shipped] == ["starter_sdxl.safetensors"]


def test_a_folder_is_the_first_that_is_there(settings, baked, volume):
    put(volume, "models/clip_tokenizer/vocab.json")
    assert installed(settings).folder(CLIP_TOKENIZER) == volume / "models" / CLIP_TOKENIZER
    put(baked, "clip_tokenizer/vocab.json")
    assert installed(settings).folder(CLIP_TOKENIZER) == baked / CLIP_TOKENIZER
    assert installed(settings).folder("wildcards") == baked / "wildcards"


@pytest.mark.parametrize("revision", ["gone", "../../escape", ""])
def test_a_cache_that_is_incomplete_is_passed_over_with_a_word(settings, volume, caplog, revision):
    snapshot = cached(volume, "org--name", "model.safetensors")
    (snapshot.parent.parent / "refs/main").write_text(revision)
    assert own(installed(settings)) == []
    assert "models--org--name is passed over" in caplog.text


def test_named_folders_are_looked_at_in_order_and_the_volume_is_not(baked, tmp_path, volume):
    put(baked, "checkpoints/a.safetensors")
    put(tmp_path / "more", "checkpoints/b.safetensors")
    put(volume, "models/checkpoints/c.safetensors")
    settings = Settings(models_dir=baked, more_models_dirs=(tmp_path / "more",))
    assert own(installed(settings)) == ["a.safetensors", "b.safetensors"]


def test_a_models_folder_on_the_volume_keeps_the_shipped_model_from_standing_in(settings, volume):
    put(volume, "models/checkpoints/other.safetensors")
    with pytest.raises(Exception, match="not installed"):
        installed(settings).default_checkpoint("x.safetensors", ())
