"""LatentCodec: image ↔ latent through a KL autoencoder, whole or in tiles (sampling.md §8).

Latents here are unscaled. Images are float32 ``[B, 3, H, W]`` in 0..1. Knows no files, and draws no noise of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from fooocus_engine.models.tiling import Tile, blend_tiles
from fooocus_engine.types import PIXELS_PER_LATENT

Draw = Callable[[torch.Size], Tensor]
"""Standard normal noise of a shape, float32; any device."""

LOGVAR_LIMITS = (-30.0, 20.0)
DECODE_TILES = (Tile(32, 128), Tile(128, 32), Tile(64, 64))  # latent pixels (sampling.md §8.2)
DECODE_OVERLAP = 16
ENCODE_TILES = (Tile(512, 512), Tile(1024, 256), Tile(256, 1024))  # image pixels (sampling.md §8.3)
ENCODE_OVERLAP = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LatentCodec:
    """An autoencoder in its own dtype; in- and outputs are float32 on the autoencoder's device."""

    vae: AutoencoderKL

    @torch.no_grad()
    def decode(self, latent: Tensor) -> Tensor:
        """Image ``[B, 3, 8h, 8w]`` in 0..1 of ``latent [B, 4, h, w]``; in tiles where the device's memory is short."""
        try:
            return ((self._decoded(latent) + 1) / 2).clamp(0, 1)
        except torch.OutOfMemoryError:
            logger.info("no memory to decode a latent of %s at once; decoding in tiles", tuple(latent.shape))
        # Outside of the handler, which keeps the failed pass's tensors alive.
        return self.decode_tiled(latent)

    @torch.no_grad()
    def decode_tiled(self, latent: Tensor) -> Tensor:
        """As ``decode``, as the mean of three tiled passes (sampling.md §8.2)."""
        passes = [
            blend_tiles(
                latent, tile, overlap=DECODE_OVERLAP, scale=float(PIXELS_PER_LATENT), convert=self._decoded_from_zero
            )
            for tile in DECODE_TILES
        ]
        return (sum(passes[1:], passes[0]) / len(passes) / 2).clamp(0, 1)

    @torch.no_grad()
    def moments(self, image: Tensor) -> Tensor:
        """Mean and log variance ``[B, 8, H//8, W//8]`` of the latent of ``image``."""
        x = (2 * image - 1).to(self.vae.device, self.vae.dtype).contiguous()
        moments: Tensor = self.vae.quant_conv(self.vae.encoder(x))
        return moments.float()

    def encode(self, image: Tensor, *, draw: Draw) -> Tensor:
        """A sample ``[B, 4, H//8, W//8]`` of the latent of ``image``, cropped around its middle to multiples of 8.

        In tiles where the device's memory is short.
        """
        try:
            return self._sampled(cropped(image), draw)
        except torch.OutOfMemoryError:
            logger.info("no memory to encode an image of %s at once; encoding in tiles", tuple(image.shape))
        return self.encode_tiled(image, draw=draw)

    def encode_uncropped(self, image: Tensor, *, draw: Draw) -> Tensor:
        """As ``encode`` without the cropping: what is over at the right and at the bottom has its say at the border."""
        return self._sampled(image, draw)

    def encode_tiled(self, image: Tensor, *, draw: Draw) -> Tensor:
        """As ``encode``, as the mean of three tiled passes (sampling.md §8.3). Tiles draw their noise row by row."""
        image = cropped(image).to(self.vae.device)
        passes = [
            blend_tiles(
                image,
                tile,
                overlap=ENCODE_OVERLAP,
                scale=1 / PIXELS_PER_LATENT,
                convert=lambda part: self._sampled(part, draw),
            )
            for tile in ENCODE_TILES
        ]
        return sum(passes[1:], passes[0]) / len(passes)

    def _decoded(self, latent: Tensor) -> Tensor:
        # Contiguous: torch's CPU group norm is wrong on channels-last memory with few channels.
        z = latent.to(self.vae.device, self.vae.dtype).contiguous()
        decoded: Tensor = self.vae.decoder(self.vae.post_quant_conv(z))
        return decoded.float()

    def _decoded_from_zero(self, latent: Tensor) -> Tensor:
        return self._decoded(latent) + 1

    def _sampled(self, image: Tensor, draw: Draw) -> Tensor:
        mean, logvar = self.moments(image).chunk(2, dim=1)
        noise = draw(mean.shape).to(mean)
        return mean + torch.exp(logvar.clamp(*LOGVAR_LIMITS) / 2) * noise


def cropped(image: Tensor) -> Tensor:
    """``image [B, 3, H, W]`` cut to multiples of 8 by half of each side's remainder (sampling.md §8.3)."""
    height, width = image.shape[-2:]
    top, left = height % PIXELS_PER_LATENT // 2, width % PIXELS_PER_LATENT // 2
    return image[
        ...,
        top : top + height // PIXELS_PER_LATENT * PIXELS_PER_LATENT,
        left : left + width // PIXELS_PER_LATENT * PIXELS_PER_LATENT,
    ]


def to_uint8(image: Tensor) -> np.ndarray:
    """Bytes ``[B, H, W, 3]`` of ``image [B, 3, H, W]`` in 0..1: cut off, not rounded (sampling.md §8.1)."""
    scaled = (255.0 * image.detach().float()).clamp(0, 255)
    array: np.ndarray = scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return array


def codec_dtype(device: torch.device) -> torch.dtype:
    """What an autoencoder computes in: bfloat16 from CUDA compute capability 8 on, else float32 (sampling.md §8.1)."""
    modern = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 0)
    return torch.bfloat16 if modern else torch.float32
