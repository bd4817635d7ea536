"""Training of the autoencoder: what each stage moves, and going on where one was stopped."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from torch import Tensor

from builder.starter import train_autoencoder
from builder.starter.train_autoencoder import RATES, load_parts, new_parts, train

MOVED = {
    "teacher": ("teacher.conv", "teacher.mean", "teacher.std", "vae.decoder", "vae.post_quant_conv"),
    "decoder": ("vae.decoder", "vae.post_quant_conv"),
    "joint": ("teacher.correction", "vae.decoder", "vae.post_quant_conv"),
    "polish": ("vae.decoder", "vae.post_quant_conv"),
    "encoder": ("vae.encoder", "vae.quant_conv"),
}


@pytest.fixture(autouse=True)
def few_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_autoencoder, "KEPT", 2)


def trained(work: Path, stage: str, steps: int) -> dict[str, Tensor]:
    train(argparse.Namespace(work=work, stage=stage, steps=steps, batch=2, side=32, pool=4))
    return {
        f"{part}.{n}": t.clone()
        for part, ts in load_parts(work / "autoencoder.pt").tensors().items()
        for n, t in ts.items()
    }


@pytest.mark.parametrize("stage", list(RATES))
def test_a_stage_moves_its_own_part_and_nothing_else(tmp_path: Path, stage: str):
    torch.manual_seed(1)  # as the training begins
    before = {f"{part}.{n}": t.clone() for part, ts in new_parts().tensors().items() for n, t in ts.items()}
    after = trained(tmp_path, stage, 2)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert {name for name in moved if not name.startswith(MOVED[stage])} == set()
    assert all(any(name.startswith(part) for name in moved) for part in MOVED[stage])


def test_a_stopped_stage_goes_on_and_a_later_one_begins_with_what_it_left(tmp_path: Path):
    trained(tmp_path, "teacher", 1)
    second = trained(tmp_path, "teacher", 2)
    assert torch.load(tmp_path / "autoencoder.pt", weights_only=True)["teacher_step"] == 2
    later = trained(tmp_path, "encoder", 1)
    state = torch.load(tmp_path / "autoencoder.pt", weights_only=True)
    assert (state["teacher_step"], state["encoder_step"]) == (2, 1)
    assert torch.equal(later["vae.decoder.conv_in.weight"], second["vae.decoder.conv_in.weight"])
    assert not torch.equal(later["vae.encoder.conv_in.weight"], second["vae.encoder.conv_in.weight"])
    again = trained(tmp_path, "teacher", 2)  # done: nothing moves
    assert all(torch.equal(again[name], tensor) for name, tensor in later.items())


def test_two_trainings_of_the_same_steps_are_alike(tmp_path: Path):
    one, other = (trained(tmp_path / name, "encoder", 1) for name in ("a", "b"))
    assert all(torch.equal(one[name], tensor) for name, tensor in other.items())
