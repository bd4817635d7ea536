from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from builder.starter.conditions import Conditions
from builder.starter.lora_run import LoraRun, lora_parser
from builder.starter.training import StaleState
from fooocus_engine.models.catalogue import LORAS
from tests.builder.starter.bases import move, write_base

FILE = "learned.safetensors"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_base(folder, folder)
    return folder


def given(folder: Path, steps: int) -> argparse.Namespace:
    told = ["--work", str(folder), "--models", str(folder), "--steps", str(steps), "--pool", "20", "--batch", "4"]
    return lora_parser("learned", None).parse_args([*told, "--rate", "0.1"])


def distance_from_ones(run: LoraRun) -> Tensor:
    return torch.stack([(factor.up - 1).square().mean() for factor in run.factors.values()]).mean()  # type: ignore[operator]


def test_a_run_lowers_its_loss_goes_on_where_it_stopped_and_writes_the_file(work: Path):
    seen: list[tuple[torch.Size, int]] = []
    losses: list[float] = []
    run = LoraRun(given(work, 4), FILE)
    before = {name: value.clone() for name, value in run.base.networks.state_dict().items()}

    def loss(latents: Tensor, conditions: Conditions) -> Tensor:
        seen.append((latents.shape, len(conditions.context)))
        error = distance_from_ones(run)
        losses.append(float(error.detach()))
        return error

    run.run(loss)
    assert losses[3] < losses[0]
    assert all(shape[0] == count for shape, count in seen)
    assert all(torch.equal(value, before[name]) for name, value in run.base.networks.state_dict().items())

    run = LoraRun(given(work, 6), FILE)
    assert run.state.step == 4
    assert float(distance_from_ones(run).detach()) < losses[3]
    run.run(loss)
    assert run.state.step == 6
    file = work / LORAS / FILE
    written = load_file(file)
    name = next(iter(run.factors))
    assert torch.equal(written[f"{name}.lora_up.weight"], run.average.weights[f"{name}.up"].half())
    assert (work / "learned.csv").read_text(encoding="utf-8").count("valid") == 2

    file.unlink()
    LoraRun(given(work, 6), FILE).run(loss)  # done, but the file is not there
    again = load_file(file)
    assert again.keys() == written.keys()
    assert all(torch.equal(again[key], tensor) for key, tensor in written.items())


def test_factors_of_another_base_are_refused(tmp_path: Path):
    write_base(tmp_path, tmp_path)
    run = LoraRun(given(tmp_path, 1), FILE)
    run.run(lambda latents, conditions: distance_from_ones(run))
    move(tmp_path)
    with pytest.raises(StaleState, match=r"learned\.pt"):
        LoraRun(given(tmp_path, 2), FILE)
