"""The trainer of the upscaler: what it starts from, what it is fed, what it writes, and going on after a stop."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from builder.starter.train_upscaler import blind, crop_loss, draw_batch, main, new_network, reduced, whole
from fooocus_engine.models.catalogue import UPSCALERS
from fooocus_engine.models.store import UPSCALER_FILE
from fooocus_engine.models.upscaler import Upscaler, UpscalerNetwork


def test_an_untrained_network_enlarges_by_repetition():
    x = torch.rand(1, 3, 6, 5, generator=torch.Generator().manual_seed(0))
    network = new_network(features=8, growth=4, blocks=2)
    assert torch.equal(network(x), torch.zeros(1, 3, 24, 20))
    torch.testing.assert_close(whole(network)(x), F.interpolate(x, scale_factor=4) + 0.5 / 255)  # rounds when cut off


def test_every_part_of_an_untrained_network_can_learn_after_a_step():
    network = new_network(features=8, growth=4, blocks=1)
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    for _ in range(4):
        optimiser.zero_grad()
        (network(torch.rand(1, 3, 8, 8)) - 0.2).square().mean().backward()
        optimiser.step()
        blind(network)
    gradients = {name: parameter.grad for name, parameter in network.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.any()] == []


def perturbed() -> UpscalerNetwork:
    """As a training might leave it."""
    network = new_network(features=6, growth=3, blocks=1)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    blind(network)
    return network


def test_the_whole_network_adds_what_is_learned_to_a_repetition():
    network, x = perturbed(), torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    lacking = network(x)
    assert lacking.abs().max() > 0.01
    torch.testing.assert_close(whole(network)(x), F.interpolate(x, scale_factor=4) + lacking + 0.5 / 255)


def test_what_is_learned_is_alike_for_all_colours():
    network, x = perturbed(), torch.rand(1, 3, 44, 44, generator=torch.Generator().manual_seed(0))
    middle = (..., slice(84, 92), slice(84, 92))  # sees no border: 15 + 3 pixels of the input to each side
    shift = torch.tensor([0.3, -0.1, 0.05]).reshape(3, 1, 1)
    torch.testing.assert_close(network(x + shift)[middle], network(x)[middle], atol=1e-5, rtol=0)  # float32


def test_half_precision_blurs_only_what_is_learned():
    truth = torch.full((1, 3, 32, 32), 0.7)  # no bfloat16 number
    assert crop_loss(new_network(features=4, growth=2, blocks=1), truth[..., :8, :8], truth) == 0


def test_a_batch_holds_crops_and_their_reductions():
    pool = [np.random.default_rng(k).integers(0, 256, (64, 80, 3), np.uint8) for k in range(3)]
    low, truth = draw_batch(pool, 40, 8, Random(1))
    assert low.shape == (40, 3, 8, 8) and truth.shape == (40, 3, 32, 32)
    error = (F.avg_pool2d(truth, 4) - low).abs().amax((1, 2, 3)) * 255
    by_means = error <= 0.51  # reductions are rounded to whole levels
    assert 20 <= int(by_means.sum()) < 40  # a quarter of them are Lanczos's


def test_a_reduction_is_a_quarter_as_wide_and_high():
    piece = np.zeros((16, 32, 3), np.uint8)
    assert {reduced(piece, Random(seed)).shape for seed in range(9)} == {(4, 8, 3)}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Trains a little for so many steps in all."""
    threads = torch.get_num_threads()
    sizes = ["--batch", "1", "--pool", "2"]
    folders = ["--work", str(tmp_path / "work"), "--models", str(tmp_path / "models")]

    def start(steps: int) -> Path:
        monkeypatch.setattr(sys, "argv", ["train", "--steps", str(steps), *sizes, *folders])
        main()
        return tmp_path / "models" / UPSCALERS / UPSCALER_FILE

    yield start
    torch.set_num_threads(threads)


def test_a_stopped_training_goes_on_and_writes_a_file_that_the_engine_reads(run, tmp_path):
    run(2)
    state = torch.load(tmp_path / "work" / "upscaler.pt", weights_only=True)
    assert state["step"] == 2
    path = run(3)
    after = torch.load(tmp_path / "work" / "upscaler.pt", weights_only=True)
    assert after["step"] == 3
    assert [line.split(",")[0] for line in (tmp_path / "work" / "upscaler.csv").read_text().splitlines()] == [
        "2",
        "2",
        "3",
        "3",
    ]
    stored = torch.load(path, weights_only=True)
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    assert stored.keys() == {name.replace("RDB", "residual_block_") for name in after["network"]}
    read = Upscaler.load(path, torch.device("cpu"), torch.float32).network.state_dict()
    learned = after["network"]["model.1.sub.0.RDB1.conv2.0.weight"]
    assert torch.equal(read["model.1.sub.0.RDB1.conv2.0.weight"], learned.half().float())
