"""The starter model's autoencoder: its configuration, the teacher of its latents, and the loss of a decoder.

A cheap encoder, first linear, then corrected, fixes what a latent is; the real decoder learns with it, the real encoder
learns to give the same latents. Each channel ends up with mean 0 and deviation 1 in the UNet's units: both are folded
into the 1×1 convolutions around the latent. starter.md §4 tells why not end to end.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from builder.starter.training import write_whole

LATENT_SCALE = 0.13025
TEACHER = "teacher.safetensors"
LATENT_NOISE = 0.04  # added in training, in units of a channel's deviation
PAINTED_NOISE = 0.25  # the most in the decoder's last stage: latents that a diffusion paints are less exact
NARROW_LOGVAR = -30.0  # the posterior's spread: none
CONFIG: Mapping[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": (32, 32, 64, 64),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 1,
    "latent_channels": 4,
    "norm_num_groups": 8,  # 32 on so few channels would drop the colour of a picture (starter.md §3)
    "sample_size": 128,
    "scaling_factor": LATENT_SCALE,
    "act_fn": "silu",
}


class Teacher(nn.Module):
    """A cheap encoder: one 16×16 convolution of stride 8, begun as means of colour mixtures and a contrast.

    A correction of a few convolutions learns later, from nothing: corners and patterns that a linear latent blurs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 16, stride=8)
        mixtures = torch.tensor([[1.0, 1, 1], [1.0, 0, -1], [-0.5, 1, -0.5], [1.0, 1, 1]]) / 1.5
        window = torch.zeros(4, 16, 16)
        window[:3, 4:12, 4:12] = 1 / 64
        window[3, 4:12, 4:8], window[3, 4:12, 8:12] = 1 / 32, -1 / 32
        with torch.no_grad():
            self.conv.weight.copy_(mixtures[:, :, None, None] * window[:, None])
            self.conv.bias.zero_()  # type: ignore[union-attr]
        self.register_buffer("mean", torch.zeros(4))
        self.register_buffer("std", torch.ones(4))
        self.correction = nn.Sequential(
            nn.Conv2d(3, 48, 8, stride=4, padding=2, padding_mode="replicate"),
            nn.SiLU(),
            nn.Conv2d(48, 64, 3, padding=1, padding_mode="replicate"),
            nn.SiLU(),
            nn.Conv2d(64, 64, 3, stride=2, padding=1, padding_mode="replicate"),
            nn.SiLU(),
            nn.Conv2d(64, 4, 3, padding=1, padding_mode="replicate"),
        )
        for parameter in self.correction[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Tensor:
        """``image [B, 3, h, w]`` in −1…1 → ``[B, 4, h/8, w/8]``, each channel about of mean 0 and deviation 1."""
        return self.linear(image) + self.correction(image)  # type: ignore[no-any-return]

    def linear(self, image: Tensor) -> Tensor:
        """The part without the correction."""
        raw = self.conv(F.pad(image, (4, 4, 4, 4), mode="replicate"))
        return (raw - self.mean[:, None, None]) / self.std[:, None, None]  # type: ignore[index,no-any-return]

    @torch.no_grad()
    def renormalise(self, image: Tensor, momentum: float) -> None:
        """Move mean and deviation towards those of a batch."""
        raw = self.conv(F.pad(image, (4, 4, 4, 4), mode="replicate"))
        self.mean.lerp_(raw.mean((0, 2, 3)), momentum)  # type: ignore[operator]
        self.std.lerp_(raw.std((0, 2, 3)), momentum)  # type: ignore[operator]


def load_teacher(work: Path) -> Teacher:
    """Frozen.

    Raises:
        FileNotFoundError: the folder has none.
    """
    teacher = Teacher()
    teacher.load_state_dict(load_file(work / TEACHER))
    return teacher.eval().requires_grad_(False)


def write_teacher(teacher: Teacher, work: Path) -> None:
    """As ``load_teacher`` wants it."""
    write_whole(work / TEACHER, lambda path: save_file(teacher.state_dict(), path))


def new_autoencoder() -> AutoencoderKL:
    """Fresh weights; every residual branch begins at zero, which is what lets so short a training succeed."""
    vae = AutoencoderKL(**CONFIG)
    for name, parameter in vae.named_parameters():
        if name.endswith(("conv2.weight", "conv2.bias", "to_out.0.weight", "to_out.0.bias")):
            nn.init.zeros_(parameter)
    return vae


def decode(vae: AutoencoderKL, latent: Tensor) -> Tensor:
    """``latent [B, 4, h, w]`` of deviation 1 → ``[B, 3, 8h, 8w]``, about −1…1."""
    image: Tensor = vae.decoder(vae.post_quant_conv(latent))
    return image


def encode(vae: AutoencoderKL, image: Tensor) -> Tensor:
    """``image [B, 3, h, w]`` → the mean of its latent ``[B, 4, h/8, w/8]``, deviation 1."""
    moments: Tensor = vae.quant_conv(vae.encoder(image))
    return moments[:, :4]


def picture_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Absolute, squared and gradient differences; images ``[B, 3, h, w]`` in −1…1."""
    difference = made - wanted
    across = difference[..., 1:] - difference[..., :-1]
    down = difference[..., 1:, :] - difference[..., :-1, :]
    gradient = across.abs().mean() + down.abs().mean()
    return difference.abs().mean() + difference.square().mean() + 0.5 * gradient


@torch.no_grad()
def fold_scale(vae: AutoencoderKL) -> None:
    """From latents of deviation 1 to SDXL's convention: the file's latents are 1 / 0.13025 times as large."""
    vae.post_quant_conv.weight.mul_(LATENT_SCALE)
    vae.quant_conv.weight[:4].div_(LATENT_SCALE)
    vae.quant_conv.bias[:4].div_(LATENT_SCALE)
    vae.quant_conv.weight[4:].zero_()
    vae.quant_conv.bias[4:].fill_(NARROW_LOGVAR)
