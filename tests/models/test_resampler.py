"""The resampler against the library's own network of that form, and sizes read from tensors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers.models.embeddings import IPAdapterPlusImageProjection

from fooocus_engine.models.resampler import Resampler, ResamplerSizes, sizes_of

SIZES = ResamplerSizes(tokens=5, features=24, width=32, context=48, layers=3, inner=64, heads=4, feed_forward=128)

LIBRARY_NAMES = {
    ("0", "norm1"): "ln0",
    ("0", "norm2"): "ln1",
    ("0", "to_q"): "attn.to_q",
    ("0", "to_out"): "attn.to_out.0",
    ("1", "0"): "ff.0",
    ("1", "1"): "ff.1.net.0.proj",
    ("1", "3"): "ff.1.net.2",
}


@pytest.fixture
def resampler() -> Resampler:
    torch.manual_seed(0)
    return Resampler(SIZES).requires_grad_(False)


def in_the_librarys_names(resampler: Resampler) -> dict[str, torch.Tensor]:
    named = {}
    for name, tensor in resampler.state_dict().items():
        match name.split("."):
            case ["layers", layer, "0", "to_kv", "weight"]:
                for part, half in zip(("to_k", "to_v"), tensor.chunk(2), strict=True):
                    named[f"layers.{layer}.attn.{part}.weight"] = half
            case ["layers", layer, place, inside, kind]:
                named[f"layers.{layer}.{LIBRARY_NAMES[place, inside]}.{kind}"] = tensor
            case _:
                named[name] = tensor
    return named


def test_tokens_are_those_of_the_library(resampler: Resampler):
    library = IPAdapterPlusImageProjection(
        embed_dims=24, output_dims=48, hidden_dims=32, depth=3, dim_head=16, heads=4, num_queries=5, ffn_ratio=4
    )
    library.load_state_dict(in_the_librarys_names(resampler))
    features = torch.randn(2, 9, 24, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(resampler(features), library(features), rtol=1e-4, atol=1e-5)


def test_sizes_are_read_from_the_tensors(resampler: Resampler):
    assert sizes_of(resampler.state_dict(), {"num_attention_heads": 4}) == SIZES


def test_without_a_word_on_heads_they_have_64_channels(resampler: Resampler):
    assert sizes_of(resampler.state_dict(), {}) == replace(SIZES, heads=1)


def test_a_missing_tensor_is_named(resampler: Resampler):
    tensors = resampler.state_dict()
    del tensors["proj_out.weight"]
    with pytest.raises(KeyError, match="proj_out"):
        sizes_of(tensors, {})
