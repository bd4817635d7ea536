"""What an engine does before its first job."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.engine import Engine
from fooocus_engine.errors import BadModelFile
from fooocus_engine.settings import Settings

SHIPPED = "starter_sdxl.safetensors"
DEFAULT = preset_named("default").base_model_name


def engine_with(folder: Path, *checkpoints: str) -> Engine:
    """An engine whose checkpoints are no model files."""
    for name in checkpoints:
        (folder / "checkpoints").mkdir(exist_ok=True)
        (folder / "checkpoints" / name).write_bytes(b"half a file")
    return Engine(Settings(models_dir=folder, device="cpu"))


def test_the_default_checkpoint_is_loaded_once(tmp_path, caplog):
    engine = engine_with(tmp_path)
    with caplog.at_level(logging.INFO):
        assert [engine.load_default(), engine.load_default()] == [SHIPPED, SHIPPED]
    assert sum("loading base" in message for message in caplog.messages) == 1


def test_other_checkpoints_than_the_default_are_left_to_the_requests_that_name_them(tmp_path):
    assert engine_with(tmp_path, "mine.safetensors").load_default() is None


def test_a_default_checkpoint_that_cannot_be_used_is_an_error_and_does_not_end_the_warming_up(tmp_path, caplog):
    engine = engine_with(tmp_path, DEFAULT)
    with pytest.raises(BadModelFile):
        engine.load_default()
    engine.warm_up()
    assert "no model loaded ahead" in caplog.text


def test_a_processor_has_no_memory_of_its_own(tmp_path):
    assert engine_with(tmp_path).free_device_bytes() is None


@pytest.mark.gpu
def test_free_device_memory_is_what_a_picture_may_use(tmp_path):
    engine = Engine(Settings(models_dir=tmp_path, device="cuda"))
    before = engine.free_device_bytes()
    engine.load_default()
    after = engine.free_device_bytes()
    assert before is not None
    assert after is not None
    assert 0 < after < before
