"""The vision tower: sizes from tensors, which layer is taken, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.vision_tower import VisionTower, new_network, patch_features

CPU = torch.device("cpu")
CONFIG = {
    "hidden_size": 160,
    "intermediate_size": 96,
    "projection_dim": 10,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,  # of 80 channels, as ViT-H has them
    "image_size": 56,
    "patch_size": 14,
    "hidden_act": "gelu",
}


def network():
    torch.manual_seed(0)
    return new_network(CONFIG).eval().requires_grad_(False)


def saved(folder: Path, **more: torch.Tensor) -> Path:
    path = folder / "tower.safetensors"
    save_file(network().state_dict() | more, path)
    return path


def pixels() -> torch.Tensor:
    return torch.randn(2, 3, 56, 56, generator=torch.Generator().manual_seed(1))


def test_sizes_and_features_come_from_the_tensors(tmp_path: Path):
    tower = VisionTower.load(saved(tmp_path), CPU, torch.float32)
    assert (tower.side, tower.width) == (56, 160)
    torch.testing.assert_close(tower.features(pixels()), patch_features(network(), pixels()), rtol=1e-4, atol=1e-5)


def test_features_are_what_enters_the_last_layer():
    made, entered = network(), []
    made.vision_model.encoder.layers[-1].register_forward_pre_hook(
        lambda module, inputs, named: entered.append(inputs[0] if inputs else named["hidden_states"]), with_kwargs=True
    )
    features = patch_features(made, pixels())
    assert features.shape == (2, 17, 160)
    assert torch.equal(features, entered[0])


def test_the_companion_tells_the_heads(tmp_path: Path):
    path = saved(tmp_path)
    (tmp_path / "tower").mkdir()
    (tmp_path / "tower" / "vision.json").write_text(json.dumps({"num_attention_heads": 8}))
    other = VisionTower.load(path, CPU, torch.float32).features(pixels())
    assert not torch.allclose(other, patch_features(network(), pixels()), atol=1e-4)


def test_position_numbers_of_older_libraries_are_passed_over_in_silence(tmp_path: Path, caplog):
    VisionTower.load(
        saved(tmp_path, **{"vision_model.embeddings.position_ids": torch.arange(17)[None]}), CPU, torch.float32
    )
    assert caplog.text == ""


def test_weights_take_the_asked_precision(tmp_path: Path):
    tower = VisionTower.load(saved(tmp_path), CPU, torch.bfloat16)
    assert tower.features(pixels()).dtype is torch.bfloat16


def test_a_missing_weight_is_named(tmp_path: Path):
    tensors = network().state_dict()
    for name in ("vision_model.pre_layrnorm.weight", "visual_projection.weight"):
        rest = {key: tensor for key, tensor in tensors.items() if key != name}
        save_file(rest, tmp_path / "tower.safetensors")
        with pytest.raises(BadModelFile, match=rf"tower\.safetensors: .*lacks {name}"):
            VisionTower.load(tmp_path / "tower.safetensors", CPU, torch.float32)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("vision_model.embeddings.patch_embedding.weight", (160, 588)),
        ("vision_model.embeddings.position_embedding.weight", (0, 160)),
        ("vision_model.embeddings.position_embedding.weight", (18, 160)),
        ("vision_model.encoder.layers.0.mlp.fc1.weight", ()),
        ("visual_projection.weight", ()),
    ],
)
def test_a_misshapen_weight_is_a_bad_file(name: str, shape: tuple[int, ...], tmp_path: Path):
    path = saved(tmp_path, **{name: torch.zeros(shape)})
    with pytest.raises(BadModelFile, match=r"tower\.safetensors: the vision network has weights of unexpected shape"):
        VisionTower.load(path, CPU, torch.float32)
