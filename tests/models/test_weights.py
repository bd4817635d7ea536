"""Reading weight files safely, and handing tensors to modules."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.models.weights import assign, listed, read_file, read_weights, split_by_prefix


def same(_name, tensor):
    return tensor


def test_safetensors_come_back_as_written(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(1, dtype=torch.float16)}
    save_file(tensors, tmp_path / "x.safetensors")
    read = read_weights(tmp_path / "x.safetensors")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[key], tensors[key]) for key in tensors)
    assert read["b"].dtype == torch.float16


@pytest.mark.parametrize("legacy", [False, True])
def test_torch_files_of_both_forms_are_read_and_unwrapped(tmp_path, legacy):
    content = {"state_dict": {"a": torch.ones(2)}, "global_step": 7}
    torch.save(content, tmp_path / "x.ckpt", _use_new_zipfile_serialization=not legacy)
    assert torch.equal(read_weights(tmp_path / "x.ckpt")["a"], torch.ones(2))


def test_nested_torch_content_is_kept_by_read_file(tmp_path):
    torch.save({"k": (torch.ones(1, dtype=torch.uint8), 0.5, torch.zeros(1))}, tmp_path / "x.patch")
    values, low, _ = read_file(tmp_path / "x.patch")["k"]
    assert low == 0.5
    assert values.dtype == torch.uint8


class Payload:
    """What a hostile file would run on loading."""

    def __reduce__(self):
        return (open, ("executed", "w"))


@pytest.mark.parametrize(
    "write", [lambda o, p: torch.save(o, p), lambda o, p: p.write_bytes(pickle.dumps(o, protocol=2))]
)
def test_a_file_with_code_is_refused_unexecuted_and_only_its_name_is_told(tmp_path, monkeypatch, write):
    monkeypatch.chdir(tmp_path)
    write({"a": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(BadModelFile, match=r"evil\.pth") as caught:
        read_weights(tmp_path / "evil.pth")
    assert not (tmp_path / "executed").exists()
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["x.safetensors", "x.ckpt", "x.pth", "x.bin"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"PK\x03\x04 not a zip", b"\xff" * 300])
def test_a_damaged_file_is_a_bad_model_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadModelFile, match=name.replace(".", r"\.")) as caught:
        read_weights(tmp_path / name)
    assert str(tmp_path) not in str(caught.value)


def test_a_truncated_safetensors_file_is_a_bad_model_file(tmp_path):
    save_file({"a": torch.ones(1000)}, tmp_path / "x.safetensors")
    whole = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(whole[:-100])
    with pytest.raises(BadModelFile):
        read_weights(tmp_path / "x.safetensors")


def test_a_missing_file_is_unavailable(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"gone\.safetensors"):
        read_weights(tmp_path / "gone.safetensors")


def test_a_file_without_tensors_is_refused(tmp_path):
    torch.save({"state_dict": {"note": "hello"}}, tmp_path / "x.pth")
    with pytest.raises(BadModelFile, match="no tensors"):
        read_weights(tmp_path / "x.pth")


def test_splitting_takes_each_prefix_off_and_keeps_the_rest():
    one = torch.ones(1)
    parts, rest = split_by_prefix({"a.x": one, "b.y": one, "c": one, "a.z.w": one}, ("a.", "b."))
    assert {prefix: sorted(part) for prefix, part in parts.items()} == {"a.": ["x", "z.w"], "b.": ["y"]}
    assert rest == ["c"]


def meta_linear() -> nn.Linear:
    with torch.device("meta"):
        return nn.Linear(2, 3)


def test_assigned_tensors_are_the_parameters_without_a_copy():
    module, weight = meta_linear(), torch.ones(3, 2, dtype=torch.float16)
    assign(module, {"weight": weight, "bias": torch.ones(3)}, file="f", part="layer", convert=same)
    assert module.weight.data_ptr() == weight.data_ptr()
    assert not module.training
    assert not module.weight.requires_grad


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": torch.ones(3, 2)}, "lacks bias"),
        ({"weight": torch.ones(3, 2), "bias": torch.ones(4)}, r"bias is \(4,\), not \(3,\)"),
    ],
)
def test_assigning_names_what_does_not_fit(tensors, message):
    with pytest.raises(BadModelFile, match=rf"f\.ckpt: the layer .*{message}"):
        assign(meta_linear(), tensors, file="f.ckpt", part="layer", convert=same)


def test_weights_that_nothing_reads_are_passed_over_with_a_warning(caplog):
    module, whole = meta_linear(), {"weight": torch.ones(3, 2), "bias": torch.ones(3)}
    assign(module, whole, file="f.ckpt", part="layer", convert=same)
    assert caplog.messages == []
    assign(module, whole | {"odd": torch.ones(1)}, file="f.ckpt", part="layer", convert=same)
    assert caplog.messages == ["f.ckpt: the layer has weights that nothing reads: odd"]
    assert set(module.state_dict()) == {"weight", "bias"}


def test_a_long_list_of_keys_is_cut():
    assert listed(["b", "a", "e", "d", "c"]) == "a, b, c and 2 more"
