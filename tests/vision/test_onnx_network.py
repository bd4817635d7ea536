"""Loading and running ONNX files."""

from __future__ import annotations

import numpy as np
import pytest

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.vision.onnx_network import OnnxNetwork


def test_the_first_output_comes_out(models):
    network = OnnxNetwork.load(models / "inpaint" / "u2net.onnx")
    made = network.first_output(np.full((1, 3, 2, 4), 2, np.float32))
    assert made.shape == (1, 1, 2, 4)
    assert (made == 6).all()


def test_the_shape_is_told_as_the_file_has_it(models):
    assert OnnxNetwork.load(models / "clip_vision" / "wd-v1-4-moat-tagger-v2.onnx").shape == (1, 448, 448, 3)


def test_a_missing_file_is_named_without_its_folder(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"'none\.onnx'") as error:
        OnnxNetwork.load(tmp_path / "none.onnx")
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"no network", bytes(range(256))])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(BadModelFile, match=r"bad\.onnx") as error:
        OnnxNetwork.load(tmp_path / "bad.onnx")
    assert str(tmp_path) not in str(error.value)


def test_an_array_of_another_shape_is_refused(models):
    with pytest.raises(BadModelFile, match=r"does not take \[1, 2, 2, 2\]"):
        OnnxNetwork.load(models / "inpaint" / "u2net.onnx").first_output(np.zeros((1, 2, 2, 2), np.float32))
