from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from builder.starter.conditions import Conditions
from builder.starter.lora_run import LoraRun, lora_parser
from builder.starter.model import Networks, new_tokenizer
from builder.starter.train_autoencoder import new_parts
from builder.starter.training import StaleState

FILE = "learned.safetensors"


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    torch.manual_seed(0)
    networks = Networks(new_tokenizer())
    torch.save({"average": networks.state_dict()}, folder / "diffusion.pt")
    torch.save(new_parts().tensors(), folder / "autoencoder.pt")
    return folder


def given(work: Path, models: Path, steps: int) -> argparse.Namespace:
    told = ["--work", str(work), "--models", str(models), "--steps", str(steps), "--pool", "20", "--batch", "4"]
    return lora_parser("learned", None).parse_args([*told, "--rate", "0.1"])


def distance_from_ones(run: LoraRun) -> Tensor:
    return torch.stack([(factor.up - 1).square().mean() for factor in run.factors.values()]).mean()  # type: ignore[operator]


def test_a_run_lowers_its_loss_goes_on_where_it_stopped_and_writes_the_file(work: Path, tmp_path: Path):
    seen: list[tuple[torch.Size, int]] = []
    losses: list[float] = []
    run = LoraRun(given(work, tmp_path, 4), FILE)
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

    run = LoraRun(given(work, tmp_path, 6), FILE)
    assert run.state.step == 4
    assert float(distance_from_ones(run).detach()) < losses[3]
    run.run(loss)
    assert run.state.step == 6
    written = load_file(tmp_path / "loras" / FILE)
    name = next(iter(run.factors))
    assert torch.equal(written[f"{name}.lora_up.weight"], run.average.weights[f"{name}.up"].half())
    assert (work / "learned.csv").read_text(encoding="utf-8").count("valid") == 2

    elsewhere = tmp_path / "elsewhere"
    LoraRun(given(work, elsewhere, 6), FILE).run(loss)  # done, but the file is not there
    again = load_file(elsewhere / "loras" / FILE)
    assert again.keys() == written.keys()
    assert all(torch.equal(again[key], tensor) for key, tensor in written.items())


def test_factors_of_another_base_are_refused(work: Path, tmp_path: Path):
    for file in ("diffusion.pt", "autoencoder.pt"):
        shutil.copy(work / file, tmp_path)
    run = LoraRun(given(tmp_path, tmp_path, 1), FILE)
    run.run(lambda latents, conditions: distance_from_ones(run))
    stored = torch.load(tmp_path / "diffusion.pt", weights_only=True)
    stored["average"]["unet.conv_in.bias"] += 1e-3
    torch.save(stored, tmp_path / "diffusion.pt")
    with pytest.raises(StaleState, match=r"learned\.pt"):
        LoraRun(given(tmp_path, tmp_path, 2), FILE)
