"""Names of published files under the library's."""

from __future__ import annotations

import pytest
import torch

from fooocus_engine.errors import BadModelFile
from fooocus_engine.vision.names import counted, read_wrapped, renamed, unstacked


def test_rules_apply_one_after_another():
    weights = {"a.norm.weight": torch.zeros(1), "b.weight": torch.ones(1)}
    assert set(renamed(weights, [(r"^a\.", "x."), (r"^x\.norm\.", "x.layer_norm.")])) == {
        "x.layer_norm.weight",
        "b.weight",
    }


def test_a_stacked_matrix_is_cut_along_its_rows():
    parts = unstacked({"l.qkv.weight": torch.arange(6.0)[:, None]}, r"\.qkv\.", (".q.", ".k.", ".v."))
    assert {name: tensor.flatten().tolist() for name, tensor in parts.items()} == {
        "l.q.weight": [0, 1],
        "l.k.weight": [2, 3],
        "l.v.weight": [4, 5],
    }


@pytest.mark.parametrize(("names", "count"), [(["l.0.w", "l.10.w", "m.99.w"], 11), ([], 0), (["x"], 0)])
def test_layers_are_counted_by_their_highest_number(names, count):
    assert counted(names, r"^l\.(\d+)\.") == count


def test_the_dict_inside_a_file_is_read_and_nothing_else(tmp_path):
    torch.save({"model": {"a": torch.ones(2), "n": 3}, "epoch": 5}, tmp_path / "x.pth")
    assert list(read_wrapped(tmp_path / "x.pth")) == ["a"]
    torch.save({"a": torch.ones(2), "epoch": 5}, tmp_path / "y.pth")
    assert list(read_wrapped(tmp_path / "y.pth")) == ["a"]
    torch.save({"model": 7}, tmp_path / "z.pth")
    with pytest.raises(BadModelFile, match=r"z\.pth: holds no tensors"):
        read_wrapped(tmp_path / "z.pth")
