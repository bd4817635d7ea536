"""Loading and running ONNX files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.vision.onnx_network import OnnxNetwork

ROOT = Path(__file__).parents[2]


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


LOADING = "import sys; from pathlib import Path; from fooocus_engine import engine; "
LOADING += "from fooocus_engine.vision.onnx_network import OnnxNetwork; OnnxNetwork.load(Path(sys.argv[1]))"


def test_neither_the_engine_nor_a_network_leaves_a_device_id_or_events_to_send(models, tmp_path):
    network = models / "inpaint" / "u2net.onnx"
    home = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    home.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", LOADING, str(network)], check=True, env=home, cwd=ROOT)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
