from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from builder.starter.compact import compacted, read


def test_weights_come_back_within_half_a_level_of_their_row(tmp_path: Path):
    torch.manual_seed(0)
    state = {"networks.a": torch.randn(8, 3, 3, 3) * torch.logspace(-3, 1, 8)[:, None, None, None]}
    state |= {"networks.b": torch.randn(5), "vae.c": torch.zeros(4, 4)}
    save_file(compacted(state), tmp_path / "small.safetensors")
    found = read(tmp_path / "small.safetensors", "networks")
    assert found.keys() == {"a", "b"}
    level = state["networks.a"].flatten(1).abs().amax(1) / 127
    error = (found["a"] - state["networks.a"]).flatten(1).abs().amax(1)
    assert (error <= 0.6 * level).all()
    assert torch.equal(found["b"], state["networks.b"])
    assert torch.equal(read(tmp_path / "small.safetensors", "vae")["c"], torch.zeros(4, 4))
