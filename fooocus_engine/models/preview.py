"""PreviewDecoder: a cheap look at a running generation, model-space latent → small picture (sampling.md §13)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from fooocus_engine.models.weights import assign, read_weights

# Channels out and kernel size of conv1 … conv8, as published with `xlvaeapp.pth`.
LAYERS = ((8, 7), (16, 5), (32, 3), (64, 3), (32, 3), (16, 3), (8, 3), (3, 3))
LATENT_CHANNELS = 4
PADDING = 11  # half of what the eight unpadded convolutions take away
SLOPE = 0.1


class PreviewNetwork(nn.Module):
    """Eight unpadded convolutions on the doubled latent."""

    def __init__(self) -> None:
        super().__init__()
        channels = LATENT_CHANNELS
        for index, (out, kernel) in enumerate(LAYERS, start=1):
            self.add_module(f"conv{index}", nn.Conv2d(channels, out, kernel))
            channels = out

    def forward(self, x: Tensor) -> Tensor:
        """``[B, 3, 2h, 2w]`` in about −1..1 of a model-space latent ``[B, 4, h, w]``."""
        x = F.pad(F.interpolate(x, scale_factor=2.0, mode="nearest"), (PADDING,) * 4)
        for convolution in self.children():
            x = F.leaky_relu(convolution(x), SLOPE)
        return x


@dataclass(frozen=True, eq=False)
class PreviewDecoder:
    """The network with its device and dtype."""

    network: PreviewNetwork
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def load(cls, path: Path, device: torch.device, dtype: torch.dtype) -> PreviewDecoder:
        """The decoder of a file.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: it is not a preview decoder.
        """
        with torch.device("meta"):
            network = PreviewNetwork()
        weights = read_weights(path)
        assign(network, weights, file=path.name, part="preview decoder", convert=lambda _, t: t.to(device, dtype))
        return cls(network, device, dtype)

    @torch.no_grad()
    def render(self, x0: Tensor) -> Image.Image:
        """RGB picture, twice as large as the first latent of ``x0 [B, 4, h, w]`` (model space)."""
        y = self.network(x0[:1].to(self.device, self.dtype).contiguous())[0].float()
        pixels = (y * 127.5 + 127.5).clamp(0, 255).to(torch.uint8)
        return Image.fromarray(pixels.permute(1, 2, 0).contiguous().cpu().numpy())
