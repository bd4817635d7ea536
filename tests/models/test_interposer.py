"""The interposer: the published layout, and arithmetic worked out on simple weights."""

import pytest
import torch
from safetensors.torch import save_file

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.interposer import Interposer, InterposerNetwork
from tests.models.tiny import CPU


@pytest.fixture
def weights():
    return {key: torch.zeros_like(tensor) for key, tensor in InterposerNetwork().state_dict().items()}


def load(weights, path) -> Interposer:
    save_file(weights, path)
    return Interposer.load(path, CPU.device, torch.float32)


def test_the_network_has_the_published_tensors(weights):
    assert len(weights) == 147  # sampling.md §10.6
    assert sum(tensor.numel() for tensor in weights.values()) == 1_413_649
    assert {
        "head.short.weight",
        "head.long.4.bias",
        "core.12.long.2.weight",
        "core.13.running_var",
        "tail.bias",
    } <= set(weights)


def test_a_latent_passes_through_as_worked_out_by_hand(weights, tmp_path):
    for key in weights:
        if key.endswith("running_var"):
            weights[key] = torch.ones_like(weights[key])
    weights["head.short.weight"][0, 2, 1, 1] = 1.0  # channel 2 → feature 0, then the head's ReLU
    for index in range(1, 13):
        weights[f"core.{index}.norm.weight"][:] = 1.0
    weights["core.1.norm.bias"][0] = 1.0  # the block adds its normed input to the branch: + 1 once
    weights["core.13.weight"][:] = 2.0
    weights["tail.weight"][3, 0, 1, 1] = 1.0  # feature 0 → channel 3
    latent = torch.randn(1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    converted = load(weights, tmp_path / "i.safetensors")(latent)
    expected = torch.nn.functional.silu(2 * (latent[:, 2].relu() + 1))
    torch.testing.assert_close(converted[:, 3], expected, atol=0, rtol=1e-4)  # 13 norms with epsilon 1e-5
    assert torch.equal(converted[:, :3], torch.zeros(1, 3, 5, 6))


def test_an_incomplete_file_is_refused(weights, tmp_path):
    del weights["tail.bias"]
    with pytest.raises(BadModelFile, match=r"lacks tail\.bias"):
        load(weights, tmp_path / "i.safetensors")
