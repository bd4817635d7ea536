"""Interposer: SDXL latent → SD1.5 latent, for a refiner with another latent space (sampling.md §10.6)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fooocus_engine.models.weights import assign, read_weights

LATENT_CHANNELS = 4
WIDTH = 64
BLOCKS = 12


def _convolutions(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, WIDTH, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
    )


class _Head(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.short = nn.Conv2d(LATENT_CHANNELS, WIDTH, 3, padding=1)
        self.long = _convolutions(LATENT_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.long(x) + self.short(x))


class _Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(WIDTH)
        self.long = _convolutions(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return F.relu(self.long(y) + y)


class InterposerNetwork(nn.Module):
    """Module names are the keys of ``xl-to-v1_interposer-v4.0.safetensors``."""

    def __init__(self) -> None:
        super().__init__()
        self.head = _Head()
        # Index 0 is the published network's resampling, which this file does not use.
        blocks = [_Block() for _ in range(BLOCKS)]
        self.core = nn.Sequential(nn.Identity(), *blocks, nn.BatchNorm2d(WIDTH), nn.SiLU())
        self.tail = nn.Conv2d(WIDTH, LATENT_CHANNELS, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """``[B, 4, h, w]`` → ``[B, 4, h, w]``, both unscaled."""
        return self.tail(self.core(self.head(x)))  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Interposer:
    """The network with its device and dtype."""

    network: InterposerNetwork
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def load(cls, path: Path, device: torch.device, dtype: torch.dtype) -> Interposer:
        """The interposer of a file.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: it is not an interposer of this layout.
        """
        with torch.device("meta"):
            network = InterposerNetwork()

        def convert(_: str, tensor: Tensor) -> Tensor:
            return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)

        assign(network, read_weights(path), file=path.name, part="interposer", convert=convert)
        return cls(network, device, dtype)

    @torch.no_grad()
    def __call__(self, latent: Tensor) -> Tensor:
        """SD1.5 latent of an SDXL ``latent [B, 4, h, w]``, both unscaled; device and dtype of the input."""
        converted: Tensor = self.network(latent.to(self.device, self.dtype).contiguous())
        return converted.to(latent)
