"""Training of a control-LoRA: untrained it changes nothing, gradients reach what learns, the file is as published."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from builder.starter import train_control
from builder.starter.autoencoder import Teacher
from builder.starter.base import loaded
from builder.starter.control_start import untrained
from builder.starter.edge_pool import EdgePool, edge_pool, varied
from builder.starter.export import NAME
from builder.starter.samples import batch_of
from builder.starter.train_control import FILE, Lesson, Run, draw_timesteps, measured, parser, write_file
from builder.starter.training import StaleState
from fooocus_engine.imaging.edges import pyra_canny
from fooocus_engine.models.catalogue import CONTROLNET
from fooocus_engine.models.control_lora import ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel
from tests.builder.starter.bases import move, write_base

LIMIT = 2_000_000  # bytes of a shipped companion
RANK = 16  # the trainer's
SIZE = (64, 64)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with an untrained starter model."""
    folder = tmp_path_factory.mktemp("models")
    write_base(folder, folder)
    return folder


@pytest.fixture(scope="module")
def base(models: Path) -> DiffusionModel:
    return loaded(models)


@pytest.fixture(scope="module")
def pool() -> EdgePool:
    return edge_pool(Teacher(), seed=1, count=4, size=SIZE)


def test_the_shipped_model_does_not_stand_in_for_a_missing_base(tmp_path):
    with pytest.raises(FileNotFoundError, match=NAME):
        loaded(tmp_path)


def lesson(base: DiffusionModel) -> Lesson:
    torch.manual_seed(0)
    return Lesson(base, ControlNetwork.upon(base, ControlLora(FILE, untrained(base, RANK))))


def given(pool: EdgePool, taught: Lesson) -> tuple:
    batch = batch_of(pool.pool, range(4), taught.words, Random(1))
    noise = torch.randn(batch.latents.shape, generator=torch.Generator().manual_seed(2))
    return batch, pool.hints(range(4)), torch.tensor([999, 700, 500, 100]), noise


def test_edge_maps_are_those_of_varied_pictures_and_lie_beside_their_latents(pool):
    assert pool.edges.shape == (4, 64, 64)
    assert pool.pool.latents.shape == (4, 4, 8, 8)
    hints = pool.hints([2, 0])
    assert torch.equal(hints[0, 1] * 255, pool.edges[2].float())


def test_a_varied_picture_keeps_most_of_its_edges():
    picture = np.full((64, 64, 3), 40, np.uint8)
    picture[20:44, 20:44] = 220
    wanted = pyra_canny(picture) >= 128
    for seed in range(10):
        found = pyra_canny(varied(picture, Random(seed)))
        assert (found[wanted] > 0).mean() > 0.8
    assert picture.max() == 220


def test_untrained_the_file_changes_nothing(base, pool):
    taught = lesson(base)
    batch, hints, timesteps, noise = given(pool, taught)
    with torch.no_grad():
        steered = taught.estimate(batch, hints, timesteps, noise)
        alone = taught.estimate(batch, None, timesteps, noise)
    assert torch.equal(steered, alone)


def test_gradients_reach_everything_that_learns_and_nothing_else(base, pool):
    taught = lesson(base)
    own = taught.control.own
    for parameter in own.values():
        parameter.requires_grad_()
    with torch.no_grad():  # behind layers of zeros nothing can be felt
        for parameter in own.values():
            if not parameter.any():
                parameter.normal_(std=0.05)
    taught.loss(*given(pool, taught)).backward()
    assert [key for key, parameter in own.items() if parameter.grad is None or not parameter.grad.any()] == []
    assert [name for name, parameter in base.unet.named_parameters() if parameter.grad is not None] == []


def test_steps_on_one_batch_lower_its_error_and_leave_the_base_alone(base, pool):
    taught = lesson(base)
    before = {name: value.clone() for name, value in base.unet.state_dict().items()}
    learned = [parameter.requires_grad_() for parameter in taught.control.own.values()]
    optimiser = torch.optim.Adam(learned, lr=3e-3)
    losses = []
    for _ in range(12):
        loss = taught.loss(*given(pool, taught))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(value, before[name]) for name, value in base.unet.state_dict().items())


def test_most_timesteps_lie_where_a_control_speaks():
    torch.manual_seed(0)
    drawn = draw_timesteps(4000)
    assert 0.84 < float((drawn >= 500).float().mean()) < 0.91  # 3/4 and half of the rest
    assert drawn.min() < 20
    assert drawn.max() > 980


def test_a_measurement_tells_right_edges_wrong_ones_and_none(base, pool):
    found = measured(lesson(base), pool)
    assert found["valid"] == found["valid_wrong"] == found["valid_none"] > 0


def test_the_written_file_is_small_and_is_the_published_form(base, tmp_path):
    taught = lesson(base)
    write_file({key: value.detach() for key, value in taught.control.own.items()}, tmp_path)
    assert (tmp_path / FILE).stat().st_size < LIMIT
    tensors = load_file(tmp_path / FILE)
    assert tensors["lora_controlnet"].shape == (0,)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    read = ControlNetwork.upon(base, ControlLora.load(tmp_path / FILE, base.device, base.dtype))
    assert read.own.keys() == taught.control.own.keys()


def test_a_stopped_training_goes_on_writes_its_file_and_refuses_another_base(tmp_path, monkeypatch):
    monkeypatch.setattr(train_control, "KEPT", 2)
    folder = tmp_path / "models"
    write_base(folder, tmp_path)

    def run(steps: int) -> Run:
        told = ["--work", str(tmp_path), "--models", str(folder), "--steps", str(steps), "--batch", "1", "--pool", "10"]
        made = Run(parser().parse_args(told))
        made.run()
        return made

    first, second = run(1), run(2)
    assert (first.state.step, second.state.step) == (1, 2)
    written = load_file(folder / CONTROLNET / FILE)
    moved = [key for key, tensor in second.tensors.items() if not torch.equal(tensor, first.tensors[key])]
    assert moved
    assert all(torch.equal(written[key], second.tensors[key].half()) for key in moved)

    move(folder)
    with pytest.raises(StaleState, match=r"control\.pt"):
        run(3)
