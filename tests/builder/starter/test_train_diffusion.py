"""Training of the diffusion: sizes, workers that train as one, and going on after a kill."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from builder.starter import train_diffusion
from builder.starter.model import NATIVE
from builder.starter.samples import OTHER_SIZES, count_at
from builder.starter.train_autoencoder import new_parts
from builder.starter.train_diffusion import MEETING, Team, shared_size, start

ROOT = Path(__file__).parents[3]
SMALL = ["--decay-from", "1", "--sizes-from", "100", "--batch", "1", "--pool", "2"]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(new_parts().tensors(), tmp_path / "autoencoder.pt")
    return tmp_path


def given(work: Path, steps: int, workers: int) -> argparse.Namespace:
    told = ["--work", str(work), "--steps", str(steps), "--workers", str(workers), *SMALL]
    return train_diffusion.parser().parse_args(told)


def state_of(work: Path) -> dict:
    return torch.load(work / "diffusion.pt", weights_only=True)


def test_other_sizes_come_late_and_are_the_same_for_all_workers():
    assert {shared_size(step, 500) for step in range(500)} == {NATIVE}
    later = [shared_size(step, 500) for step in range(500, 1500)]
    assert later == [shared_size(step, 500) for step in range(500, 1500)]
    assert set(later) == {NATIVE, *OTHER_SIZES}
    assert 0.5 < later.count(NATIVE) / 1000 < 0.6


def test_batches_of_all_sizes_hold_about_as_many_pixels():
    pixels = [count_at(size, 32) * size[0] * size[1] for size in (NATIVE, *OTHER_SIZES)]
    assert max(pixels) < 1.06 * min(pixels)


def test_one_worker_goes_on_where_it_stopped_and_averages_its_weights(work: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train_diffusion, "KEPT", 2)
    start(given(work, 1, 1))
    first = state_of(work)
    start(given(work, 2, 1))
    second = state_of(work)
    assert (first["step"], second["step"]) == (1, 2)
    assert set(second) == {"networks", "average", "optimiser", "step", "base"}
    name = "unet.conv_in.weight"
    moved = second["networks"][name] - first["networks"][name]
    assert moved.abs().max() > 0
    keep = 3 / 12  # (1 + step) / (10 + step): faster in the first steps
    wanted = first["average"][name].lerp(second["networks"][name], 1 - keep)
    assert torch.allclose(second["average"][name], wanted)


def averaged(rank: int, folder: str) -> None:
    """One of two processes whose gradients are 1 and 3."""
    meeting = f"file://{folder}/{MEETING}"
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2)
    parameters = [nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(1))]
    for parameter in parameters[:2]:
        parameter.grad = torch.full_like(parameter, 1.0 + 2 * rank)
    Team(rank, 2).average_gradients(parameters)
    assert all(torch.equal(p.grad, torch.full_like(p, 2.0)) for p in parameters[:2])
    assert parameters[2].grad is None
    torch.distributed.destroy_process_group()


def test_workers_average_their_gradients(tmp_path: Path):
    torch.multiprocessing.spawn(averaged, (str(tmp_path),), nprocs=2)  # raises what fails in a process


def test_two_workers_that_were_killed_go_on(work: Path):
    command = [sys.executable, "-m", "builder.starter.train_diffusion", "--work", str(work), "--workers", "2", *SMALL]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    killed = subprocess.Popen([*command, "--steps", "100000"], cwd=ROOT, env=environment, start_new_session=True)
    try:
        while not (work / MEETING).is_file() and killed.poll() is None:
            time.sleep(0.05)
        time.sleep(0.2)
    finally:
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert (work / MEETING).is_file()  # left behind
    subprocess.run([*command, "--steps", "1"], cwd=ROOT, env=environment, check=True)
    assert state_of(work)["step"] == 1
