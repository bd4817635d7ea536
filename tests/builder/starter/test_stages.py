"""The order of the training's stages: each is a module with a main, and none needs what a later one makes."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

import builder.starter.__main__ as whole

PLACEHOLDERS = {"w": "WORK", "m": "MODELS", "cpu": "DEVICE"}
STAGES = list(whole.stages(Path("w"), Path("m"), 2, "cpu", 1))
TRAINED = [(module, arguments) for module, *arguments in STAGES if module != "export"]


@pytest.mark.parametrize(("module", "arguments"), TRAINED)
def test_every_training_takes_its_arguments_and_works_in_the_folders_given(module: str, arguments: list[str]):
    given = importlib.import_module(f"builder.starter.{module}").parser().parse_args(arguments)
    assert given.work == Path("w")
    assert getattr(given, "models", Path("m")) == Path("m")
    assert given.steps > 0


def test_the_export_takes_both_folders():
    ((module, *arguments),) = (stage for stage in STAGES if stage[0] == "export")
    given = importlib.import_module(f"builder.starter.{module}").parser().parse_args(arguments)
    assert (given.work, given.models) == (Path("w"), Path("m"))


def test_the_base_is_exported_before_any_companion_and_after_its_parts():
    names = [module for module, *_ in STAGES]
    exported = names.index("export")
    assert set(names[:exported]) == {"train_autoencoder", "train_diffusion"}
    assert "train_diffusion" not in names[exported:]
    assert [arguments[0] for module, *arguments in STAGES[:5]] == ["teacher", "decoder", "joint", "polish", "encoder"]


def test_the_help_lists_every_stage_as_a_command():
    told = whole.parser().format_help().splitlines()
    commands = [line.split() for line in told if line.startswith("  python -m builder.starter.")]
    assert [command[2].rpartition(".")[2] for command in commands] == [module for module, *_ in STAGES]
    for command, (_, *arguments) in zip(commands, STAGES, strict=True):
        assert command[3:] == [PLACEHOLDERS.get(argument, argument) for argument in arguments]


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
