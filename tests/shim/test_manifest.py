"""Models that are told before any worker was awake."""

import json

import pytest

from builder import manifest as written
from fooocus_engine.settings import BadSetting
from fooocus_engine.shim.manifest import LISTS, read_manifest
from tests.shim.live import live
from tests.shim.stub_worker import MODELS

ALL = "/v1/engines/all-models"


@pytest.fixture
def manifest(tmp_path, capsys):
    folder = tmp_path / "models"
    for name in ("checkpoints/a.safetensors", "loras/b.safetensors", "inpaint/c.pth"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"123")
    assert written.main([str(folder)]) == 0
    file = tmp_path / "manifest.json"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    return file


def test_a_manifest_says_what_a_worker_would(manifest):
    content = json.loads(manifest.read_text(encoding="utf-8"))
    assert content["model_filenames"] == ["a.safetensors", "starter_sdxl.safetensors"]
    assert content["lora_filenames"] == ["b.safetensors"]
    (inpaint,) = (file for file in content["files"] if file["name"] == "c.pth")
    assert inpaint.items() >= {"kind": "inpaint", "bytes": 3, "folder": "inpaint"}.items()
    assert "default" in content["presets"]


def test_a_listing_is_told_from_the_manifest_while_nobody_is_awake(tmp_path, manifest):
    with live(tmp_path, manifest=str(manifest)) as door:
        door.stub.workers = {}
        plain, details = door.get(ALL).json(), door.get(ALL, details="true").json()
        assert set(plain) == set(LISTS)
        assert plain["lora_filenames"] == ["b.safetensors"]
        assert details == json.loads(manifest.read_text(encoding="utf-8"))
        assert door.stub.inputs() == []


def test_a_free_worker_is_asked_all_the_same(tmp_path, manifest):
    with live(tmp_path, manifest=str(manifest)) as door:
        assert door.get(ALL).json() == MODELS


def test_no_manifest_is_no_answer():
    assert read_manifest("") == {}


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"model_filenames": 1, "lora_filenames": []}'])
def test_a_manifest_that_is_none_is_refused_by_name(tmp_path, content):
    file = tmp_path / "manifest.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    with pytest.raises(BadSetting, match=r"SHIM_MANIFEST is .*manifest\.json"):
        read_manifest(str(file))
