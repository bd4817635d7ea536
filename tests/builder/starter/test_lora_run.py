from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from builder.starter.autoencoder import Teacher, new_autoencoder
from builder.starter.conditions import Conditions
from builder.starter.lora_run import LoraRun, add_arguments
from builder.starter.model import Networks, new_tokenizer
from builder.starter.train_autoencoder import Parts

FILE = "learned.safetensors"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    torch.manual_seed(0)
    networks = Networks(new_tokenizer(folder / "tokenizer"))
    torch.save({"average": networks.state_dict()}, folder / "diffusion.pt")
    Parts(Teacher(), new_autoencoder()).save(folder / "autoencoder.pt")
    return folder


def given(work: Path, models: Path, steps: int) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    told = ["--work", str(work), "--models", str(models), "--steps", str(steps), "--pool", "20", "--batch", "4"]
    return parser.parse_args([*told, "--rate", "0.1"])


def distance_from_ones(run: LoraRun) -> Tensor:
    return torch.stack([(factor.up - 1).square().mean() for factor in run.factors.values()]).mean()  # type: ignore[operator]


def test_a_run_lowers_its_loss_goes_on_where_it_stopped_and_writes_the_file(work: Path, tmp_path: Path):
    seen: list[tuple[torch.Size, int]] = []
    losses: list[float] = []
    run = LoraRun(given(work, tmp_path, 4), FILE)
    before = {name: value.clone() for name, value in run.base.state_dict().items()}

    def loss(latents: Tensor, conditions: Conditions) -> Tensor:
        seen.append((latents.shape, len(conditions.context)))
        error = distance_from_ones(run)
        losses.append(float(error.detach()))
        return error

    run.run(loss)
    assert losses[3] < losses[0]
    assert all(shape[0] == count for shape, count in seen)
    assert all(torch.equal(value, before[name]) for name, value in run.base.state_dict().items())

    run = LoraRun(given(work, tmp_path, 6), FILE)
    assert run.step == 4
    assert float(distance_from_ones(run).detach()) < losses[3]
    run.run(loss)
    assert run.step == 6
    written = load_file(tmp_path / "loras" / FILE)
    name = next(iter(run.factors))
    assert torch.equal(written[f"{name}.lora_up.weight"], run.average.weights[f"{name}.up"].half())
    assert (work / "learned.csv").read_text(encoding="utf-8").count("valid") == 2
