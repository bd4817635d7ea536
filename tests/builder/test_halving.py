"""Checkpoints in half the bytes."""

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from builder.baking.errors import WrongContent
from builder.baking.halving import halve

UNET, TEXT, VAE = "model.diffusion_model.a", "conditioner.embedders.0.b", "first_stage_model.c"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "x.safetensors"


def test_unet_and_text_are_rounded_as_numpy_rounds_and_the_autoencoder_stays(file):
    values = np.random.default_rng(0).normal(size=(7, 5)).astype("f4")
    save_file({UNET: values, TEXT: values + 1, VAE: values, "ids": np.arange(3)}, file, {"format": "pt"})
    assert halve(file)
    found = load_file(file)
    assert (found[UNET] == values.astype("f2")).all()
    assert found[TEXT].dtype == np.float16
    assert (found[VAE] == values).all()
    assert found[VAE].dtype == np.float32
    assert found["ids"].tolist() == [0, 1, 2]
    with safe_open(file, "np") as content:
        assert content.metadata() == {"format": "pt"}
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_halved_file_and_one_without_float32_are_left_alone(file):
    save_file({UNET: np.ones(3, "f2"), VAE: np.ones(3, "f4")}, file)
    before = file.read_bytes()
    assert not halve(file)
    assert file.read_bytes() == before


def test_infinite_numbers_stay_what_they_are_and_large_ones_are_refused(file):
    save_file({UNET: np.array([np.inf, 1], "f4")}, file)
    assert halve(file)
    assert load_file(file)[UNET].tolist() == [np.inf, 1]
    save_file({UNET: np.array([70000], "f4")}, file)
    before = file.read_bytes()
    with pytest.raises(WrongContent, match="holds 70000"):
        halve(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"\x05\0\0\0\0\0\0\0{}", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]"])
def test_what_is_no_safetensors_file_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(WrongContent, match="no safetensors file"):
        halve(file)


def test_a_file_that_is_cut_short_is_refused(file):
    save_file({UNET: np.ones(1000, "f4")}, file)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(WrongContent, match="cut short"):
        halve(file)
