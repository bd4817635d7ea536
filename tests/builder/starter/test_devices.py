"""Where companions learn: whatever the device of the networks, nothing of a loss stays behind on the processor."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from builder.starter import lora_run, train_adapter, train_control, train_few_steps, train_style
from builder.starter.training import Course, State
from tests.builder.starter.bases import write_base

ELSEWHERE = "meta"  # a device without memory: mixing it with the processor raises, as mixing a GPU with it does


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("base")
    write_base(made, made)
    return made


@pytest.mark.parametrize(
    ("module", "runner", "more"),
    [
        (train_style, lora_run, ()),
        *((train_few_steps, lora_run, ("--for", goal)) for goal in train_few_steps.GOALS),
        (train_control, train_control, ()),
        (train_adapter, train_adapter, ()),
    ],
)
def test_a_step_of_every_companion_is_computed_where_it_is_told_to(
    module, runner, more, folder, tmp_path, monkeypatch: pytest.MonkeyPatch
):
    learned: list[torch.device] = []

    def run(state: State, steps: int, course: Course) -> None:
        loss = course.loss()
        loss.backward()
        assert all(parameter.grad is not None for parameter in state.learned if parameter.requires_grad)
        learned.append(loss.device)

    monkeypatch.setattr(runner, "run", run)
    monkeypatch.setattr("sys.argv", arguments(folder, *more))
    module.main()
    assert set(learned) == {torch.device(ELSEWHERE)}


def arguments(folder: Path, *more: str) -> list[str]:
    return [
        "train", "--work", str(folder), "--models", str(folder), "--device", ELSEWHERE,
        "--steps", "1", "--batch", "4", "--pool", "4", *more,
    ]  # fmt: skip
