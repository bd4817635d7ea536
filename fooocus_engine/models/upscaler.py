"""Upscaler: a 4× super-resolution network, run over a picture in tiles (image-uov.md §3).

Takes and gives RGB pictures. The file decides how wide and deep the network is. Knows no request and no final size.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from fooocus_engine.errors import BadModelFile, GpuOutOfMemory
from fooocus_engine.models.tiling import Tile, blended_bands
from fooocus_engine.models.weights import assign, built, read_weights

SCALE = 4
TILE, LEAST_TILE, OVERLAP = 512, 128, 32  # pixels of the input
WIDEST = 8192  # pixels of the input that whole tiles are taken for; wider rows of tiles would cost gigabytes
COLOURS = 3
CONVOLUTIONS = 5  # of a dense block
SLOPE = 0.2  # of the leaky units
RESIDUAL = 0.2  # share of a block's branch that is added
_BLOCK = re.compile(r"model\.1\.sub\.(\d+)\.RDB1\.")

OnTile = Callable[[int, int], None]
"""Told after every tile: how many are done, and of how many. May raise to give up."""

Bands = Iterator[NDArray[np.uint8]]
"""Rows ``[n, width, 3]`` of a picture, from the top."""

logger = logging.getLogger(__name__)


class DenseBlock(nn.Module):
    """Five convolutions, each of which sees the input and what all before it made (arXiv:1809.00219, fig. 4)."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for k in range(1, CONVOLUTIONS):
            self.add_module(f"conv{k}", nn.Sequential(_convolution(features + (k - 1) * growth, growth), _leaky()))
        last = _convolution(features + (CONVOLUTIONS - 1) * growth, features)
        self.add_module(f"conv{CONVOLUTIONS}", nn.Sequential(last))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, features, h, w]`` → the same shape."""
        seen = x
        *growing, last = self.children()
        for convolution in growing:
            seen = torch.cat([seen, convolution(seen)], 1)
        return x + RESIDUAL * last(seen)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Three dense blocks in a row, beside a shortcut."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for r in (1, 2, 3):
            self.add_module(f"RDB{r}", DenseBlock(features, growth))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, features, h, w]`` → the same shape."""
        y = x
        for block in self.children():
            y = block(y)
        return x + RESIDUAL * y


class Trunk(nn.Module):
    """All blocks and a convolution, beside a shortcut. Its only child is called ``sub`` in files."""

    def __init__(self, features: int, growth: int, blocks: int) -> None:
        super().__init__()
        parts = [ResidualBlock(features, growth) for _ in range(blocks)]
        self.sub = nn.Sequential(*parts, _convolution(features, features))

    def forward(self, x: Tensor) -> Tensor:
        """``[B, features, h, w]`` → the same shape."""
        return x + self.sub(x)  # type: ignore[no-any-return]


class UpscalerNetwork(nn.Module):
    """RRDBNet of ESRGAN (arXiv:1809.00219) without normalisation; module names are the old-style keys."""

    def __init__(self, *, features: int, growth: int, blocks: int) -> None:
        super().__init__()
        self.model = nn.Sequential(
            _convolution(COLOURS, features),
            Trunk(features, growth, blocks),
            nn.Upsample(scale_factor=2),
            _convolution(features, features),
            _leaky(),
            nn.Upsample(scale_factor=2),
            _convolution(features, features),
            _leaky(),
            _convolution(features, features),
            _leaky(),
            _convolution(features, COLOURS),
        )

    def forward(self, x: Tensor) -> Tensor:
        """``[B, 3, h, w]`` in 0..1 → ``[B, 3, 4h, 4w]`` in about 0..1."""
        return self.model(x)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Upscaler:
    """The network with its device and dtype. Pictures are put together on the CPU in float32."""

    network: nn.Module
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def load(cls, path: Path, device: torch.device, dtype: torch.dtype) -> Upscaler:
        """The upscaler of a file.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: it is unreadable, or no 4× network with old-style ESRGAN names.
        """
        weights = {key.replace("residual_block_", "RDB"): tensor for key, tensor in read_weights(path).items()}
        features, growth, blocks = _sizes(weights, path.name)
        network = built(
            lambda: UpscalerNetwork(features=features, growth=growth, blocks=blocks), file=path.name, part="upscaler"
        )
        assign(network, weights, file=path.name, part="upscaler", convert=lambda _, tensor: tensor.to(device, dtype))
        return cls(network, device, dtype)

    def enlarge(
        self,
        image: Image.Image,
        on_tile: OnTile = lambda done, total: None,
        *,
        join: Callable[[Bands], Image.Image] = lambda bands: Image.fromarray(np.concatenate([*bands])),
    ) -> Image.Image:
        """``image`` (RGB), four times as wide and high.

        The large picture comes in bands; ``join`` makes of them what is returned, and need not keep them all. Where the
        device runs full everything begins anew with tiles of half the side: the count of ``on_tile``, and ``join``.

        Raises:
            GpuOutOfMemory: the device has no room even for the smallest tile.
        """
        # A copy: arrays of pictures are read-only, which torch warns of.
        source = torch.from_numpy(np.array(image))[None].permute(0, 3, 1, 2)
        side = first_tile(image.width)
        while True:
            try:
                return join(self._bands(source, side, on_tile))
            except torch.OutOfMemoryError as error:
                if side == LEAST_TILE:
                    raise GpuOutOfMemory("The device has no memory left to enlarge a picture") from error
            # Outside of the handler, which keeps the failed tile's tensors alive.
            side //= 2
            logger.info("no memory to enlarge so much at once; going on with tiles of %d pixels", side)

    @torch.no_grad()
    def _bands(self, source: Tensor, side: int, on_tile: OnTile) -> Bands:
        rows, columns = (-(-length // (side - OVERLAP)) for length in source.shape[-2:])
        done = 0

        def convert(tile: Tensor) -> Tensor:
            nonlocal done
            pixels = (tile.float() / 255).to(self.device, self.dtype)
            # Colours side by side, as the reference has them: convolutions then sum in its order.
            made: Tensor = self.network(pixels.contiguous(memory_format=torch.channels_last))
            result = made.float().cpu()
            done += 1
            on_tile(done, rows * columns)
            return result

        for band in blended_bands(source, Tile(side, side), overlap=OVERLAP, scale=float(SCALE), convert=convert):
            yield _pixels(band)


def first_tile(width: int) -> int:
    """Side of the tiles that a picture of that width is begun with: a row of them holds a bounded number of pixels."""
    side = TILE
    while side > LEAST_TILE and side * width > TILE * WIDEST:
        side //= 2
    return side


def _sizes(weights: Mapping[str, Tensor], file: str) -> tuple[int, int, int]:
    """Features, growth and number of blocks of a state dict."""
    blocks = len({found[1] for key in weights if (found := _BLOCK.match(key))})
    first, grown = weights.get("model.0.weight"), weights.get("model.1.sub.0.RDB1.conv1.0.weight")
    if first is None or grown is None or not (first.ndim and grown.ndim):
        raise BadModelFile(f"{file}: no upscaler; weights with old-style ESRGAN names are needed")
    return len(first), len(grown), blocks


def _convolution(channels: int, out: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, padding=1)


def _leaky() -> nn.LeakyReLU:
    return nn.LeakyReLU(SLOPE, inplace=True)


def _pixels(band: Tensor) -> NDArray[np.uint8]:
    """``band [1, 3, n, W]`` in 0..1 as bytes, cut off and not rounded; overwrites it to save its memory."""
    pixels: NDArray[np.uint8] = band[0].clamp_(0, 1).mul_(255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return pixels
