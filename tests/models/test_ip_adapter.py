"""Image-prompt adapters from files: layout, order, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.models.ip_adapter import (
    AdapterSizes,
    ImagePromptAdapter,
    adapter_file,
    load_adapter,
    load_negative,
    require_fit,
)
from fooocus_engine.models.resampler import ResamplerSizes
from tests.golden.records import OWN_RECORDS
from tests.models.one_step import tiny_model

ADAPTERS = OWN_RECORDS / "tiny" / "adapters"
TINY = ADAPTERS / "ip-adapter-plus_sdxl_vit-h.bin"
CPU = torch.device("cpu")
SIZES = ResamplerSizes(tokens=2, features=8, width=8, context=12, layers=1, inner=8, heads=1, feed_forward=16)


def small(layers: dict[int, int]) -> ImagePromptAdapter:
    torch.manual_seed(0)
    return ImagePromptAdapter(AdapterSizes(SIZES, layers)).requires_grad_(False)


def saved(adapter: ImagePromptAdapter, folder: Path) -> Path:
    path = folder / "adapter.bin"
    torch.save(adapter_file(adapter), path)
    return path


def test_a_written_file_reads_back_the_same(tmp_path: Path):
    adapter = small({1: 16, 3: 32})
    read = load_adapter(saved(adapter, tmp_path), CPU, torch.float32)
    assert read.state_dict().keys() == adapter.state_dict().keys()
    assert all(torch.equal(read.state_dict()[name], tensor) for name, tensor in adapter.state_dict().items())
    assert (read.widths, read.features, read.token_shape) == ([16, 32], 8, (1, 2, 12))


def test_layers_are_sorted_by_number_not_by_letters(tmp_path: Path):
    content = adapter_file(small({1: 16, 9: 32, 11: 64, 101: 8}))
    content["ip_adapter"] = dict(sorted(content["ip_adapter"].items()))  # by letters: 1, 101, 11, 9
    torch.save(content, tmp_path / "adapter.bin")
    adapter = load_adapter(tmp_path / "adapter.bin", CPU, torch.float32)
    assert adapter.widths == [16, 32, 64, 8]
    tokens = torch.randn(1, 2, 12)
    for (key, value), width, number in zip(adapter.keys_values(tokens), adapter.widths, (1, 9, 11, 101), strict=True):
        assert key.shape == value.shape == (1, 2, width)
        assert torch.equal(key, tokens @ content["ip_adapter"][f"{number}.to_k_ip.weight"].T)
        assert torch.equal(value, tokens @ content["ip_adapter"][f"{number}.to_v_ip.weight"].T)


def test_heads_may_be_told_by_the_companion(tmp_path: Path):
    path = saved(small({1: 16}), tmp_path)
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "resampler.json").write_text(json.dumps({"num_attention_heads": 4}))
    adapter = load_adapter(path, CPU, torch.float32)
    features = torch.randn(1, 5, 8)
    assert not torch.allclose(adapter.tokens(features), small({1: 16}).tokens(features), atol=1e-4)


def test_the_published_layout_fits_its_unet():
    require_fit(load_adapter(TINY, CPU, torch.float32), tiny_model().unet, TINY.name)


def test_an_adapter_for_another_unet_is_refused_by_name():
    with pytest.raises(BadModelFile, match=r"other\.bin: .* 2 attention layers of 16 channels, not 17 .* 64 or 128"):
        require_fit(small({1: 16, 3: 16}), tiny_model().unet, "other.bin")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content.pop("ip_adapter"), "it has no 'ip_adapter'"),
        (lambda content: content["image_proj"].pop("latents"), "latents"),
        (lambda content: content["ip_adapter"].pop("1.to_v_ip.weight"), r"lacks ip_adapter\.1\.to_v_ip"),
        (lambda content: content["ip_adapter"].update({"x.to_k_ip.weight": torch.zeros(2, 2)}), "'x'"),
    ],
)
def test_another_layout_is_refused_by_name(damage, message: str, tmp_path: Path):
    content = adapter_file(small({1: 16}))
    damage(content)
    torch.save(content, tmp_path / "adapter.bin")
    with pytest.raises(BadModelFile, match=rf"adapter\.bin: .*{message}"):
        load_adapter(tmp_path / "adapter.bin", CPU, torch.float32)


def test_code_in_a_file_is_never_run(tmp_path: Path):
    torch.save({"image_proj": {}, "ip_adapter": Path("x")}, tmp_path / "adapter.bin")
    with pytest.raises(BadModelFile, match="weights-only"):
        load_adapter(tmp_path / "adapter.bin", CPU, torch.float32)


def test_negative_tokens_are_read_in_the_asked_precision():
    negative = load_negative(ADAPTERS / "fooocus_ip_negative.safetensors", CPU, torch.float32)
    assert (negative.shape, negative.dtype) == ((1, 4, 128), torch.float32)


def test_a_file_without_negative_tokens_is_refused(tmp_path: Path):
    save_file({"other": torch.zeros(1)}, tmp_path / "negative.safetensors")
    with pytest.raises(BadModelFile, match="'data'"):
        load_negative(tmp_path / "negative.safetensors", CPU, torch.float32)


def test_a_missing_file_is_told(tmp_path: Path):
    with pytest.raises(ModelUnavailable, match=r"none\.bin"):
        load_adapter(tmp_path / "none.bin", CPU, torch.float32)
