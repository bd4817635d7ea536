"""Resampler: patch features of a picture → a few image tokens as wide as the text's (image-control.md §4.2).

The attention of Perceiver (Jaegle et al. 2021, arXiv:2103.03206) as IP-Adapter Plus uses it. Module names are those of
the published files, so their tensors need no other names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

HEAD_SIZE = 64


@dataclass(frozen=True)
class ResamplerSizes:
    """Channels and counts."""

    tokens: int
    features: int
    """Channels of the patch features that come in."""
    width: int
    context: int
    """Channels of the tokens that come out."""
    layers: int
    inner: int
    """Channels of queries, keys and values, over all heads."""
    heads: int
    feed_forward: int


def sizes_of(tensors: Mapping[str, Tensor], told: Mapping[str, Any]) -> ResamplerSizes:
    """Sizes of the tensors under ``image_proj``; ``told`` may hold ``num_attention_heads``; else 64 channels each.

    Raises:
        KeyError: names a tensor that is missing.
    """
    _, tokens, width = tensors["latents"].shape
    inner = tensors["layers.0.0.to_q.weight"].shape[0]
    return ResamplerSizes(
        tokens=tokens,
        features=tensors["proj_in.weight"].shape[1],
        width=width,
        context=tensors["proj_out.weight"].shape[0],
        layers=sum(1 for name in tensors if name.startswith("layers.") and name.endswith(".to_q.weight")),
        inner=inner,
        heads=told.get("num_attention_heads", max(1, inner // HEAD_SIZE)),
        feed_forward=tensors["layers.0.1.1.weight"].shape[0],
    )


class Resampler(nn.Module):
    """Learned latents that look at the features, layer after layer."""

    def __init__(self, sizes: ResamplerSizes) -> None:
        super().__init__()
        self.latents = nn.Parameter(torch.randn(1, sizes.tokens, sizes.width) / sizes.width**0.5)
        self.proj_in = nn.Linear(sizes.features, sizes.width)
        self.layers = nn.ModuleList(ResamplerLayer(sizes) for _ in range(sizes.layers))
        self.proj_out = nn.Linear(sizes.width, sizes.context)
        self.norm_out = nn.LayerNorm(sizes.context)

    def forward(self, features: Tensor) -> Tensor:
        """Tokens ``[B, tokens, context]`` of ``features [B, N, features]``."""
        x = self.proj_in(features)
        latents = self.latents.expand(len(x), -1, -1)
        for layer in self.layers:
            latents = layer(x, latents)
        tokens: Tensor = self.norm_out(self.proj_out(latents))
        return tokens


class ResamplerLayer(nn.ModuleList):
    """Attention and two linear layers, called ``0`` and ``1`` in the files."""

    def __init__(self, sizes: ResamplerSizes) -> None:
        super().__init__([LatentAttention(sizes), _feed_forward(sizes)])

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """New latents ``[B, tokens, width]``; ``x [B, N, width]``."""
        attention, feed_forward = self
        latents = latents + attention(x, latents)
        new: Tensor = latents + feed_forward(latents)
        return new


class LatentAttention(nn.Module):
    """Latents look at the features and at one another."""

    def __init__(self, sizes: ResamplerSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.norm1 = nn.LayerNorm(sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.to_q = nn.Linear(sizes.width, sizes.inner, bias=False)
        self.to_kv = nn.Linear(sizes.width, 2 * sizes.inner, bias=False)
        self.to_out = nn.Linear(sizes.inner, sizes.width, bias=False)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """What is added to ``latents [B, tokens, width]``; ``x [B, N, width]``."""
        x, latents = self.norm1(x), self.norm2(latents)
        k, v = self.to_kv(torch.cat([x, latents], dim=1)).chunk(2, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.to_q(latents), k, v))
        scale = q.shape[-1] ** -0.25  # on both sides: more exact in half precision than once on their product
        weights = ((q * scale) @ (k * scale).transpose(-1, -2)).float().softmax(dim=-1)
        looked: Tensor = self.to_out((weights.to(v.dtype) @ v).transpose(1, 2).flatten(2))
        return looked


def _feed_forward(sizes: ResamplerSizes) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(sizes.width),
        nn.Linear(sizes.width, sizes.feed_forward, bias=False),
        nn.GELU(),
        nn.Linear(sizes.feed_forward, sizes.width, bias=False),
    )
