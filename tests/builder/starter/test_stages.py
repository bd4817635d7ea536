"""The order of the training's stages: each is a module with a main, and none needs what a later one makes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import builder.starter.__main__ as whole

STAGES = list(whole.stages(Path("w"), Path("m"), 2))


def test_every_stage_is_a_module_that_takes_its_arguments(monkeypatch, tmp_path):
    for module, *arguments in STAGES:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [module, *arguments, "--help"])
        with pytest.raises(SystemExit) as stop:
            importlib.import_module(f"builder.starter.{module}").main()
        assert stop.value.code == 0


def test_the_base_is_exported_before_any_companion_and_after_its_parts():
    names = [module for module, *_ in STAGES]
    exported = names.index("export")
    assert set(names[:exported]) == {"train_autoencoder", "train"}
    assert "train" not in names[exported:]
    assert [arguments[0] for module, *arguments in STAGES[:4]] == ["teacher", "decoder", "joint", "encoder"]


def test_a_stage_that_fails_stops_the_rest(monkeypatch):
    asked = []

    def run(command, *, check):
        asked.append(command)
        raise whole.subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(whole.subprocess, "run", run)
    monkeypatch.setattr(sys, "argv", ["starter"])
    with pytest.raises(whole.subprocess.CalledProcessError):
        whole.main()
    assert len(asked) == 1
