"""A checkpoint file opened and taken apart by prefix, with its companion; what every family loads from.

Nothing is read from disk here but names and shapes: tensors are memory-mapped.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from torch import Tensor

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.companion import Companion, read_companion
from fooocus_engine.models.families.unet_layout import UNetLayout, read_layout, unet_config
from fooocus_engine.models.families.unet_names import unet_names
from fooocus_engine.models.sinusoids import settle_sinusoids
from fooocus_engine.models.weights import assign, built, listed, pass_over, read_weights, split_by_prefix

logger = logging.getLogger(__name__)

UNET = "model.diffusion_model."
VAE = "first_stage_model."
CLIP_L = "conditioner.embedders.0.transformer."
CLIP_G = "conditioner.embedders.1.model."
REFINER_CLIP_G = "conditioner.embedders.0.model."
SD15_CLIP = "cond_stage_model.transformer."
PREFIXES = (UNET, VAE, CLIP_L, CLIP_G, REFINER_CLIP_G, SD15_CLIP)

V_PREDICTION = "v_pred"
IMAGE_CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The parts of one file, by prefix, under names without it."""

    file: str
    parts: Mapping[str, Mapping[str, Tensor]]
    markers: frozenset[str]
    """Keys outside of all parts."""
    companion: Companion
    layout: UNetLayout

    @property
    def unet(self) -> Mapping[str, Tensor]:
        """The UNet's tensors."""
        return self.parts[UNET]


@dataclass(frozen=True)
class Target:
    """Where a model is put, and in which precision."""

    device: torch.device
    dtype: torch.dtype
    """Of the UNet. The autoencoder's follows from the device (sampling.md §8.1)."""
    text_dtype: torch.dtype = torch.float16
    """What the text encoders' weights, which are rounded to half, are kept in. It matters only to LoRAs, which are
    merged in this precision: half as in production, float32 as in recordings made in full precision."""


def open_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint in ``path``, with its UNet's sizes read.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: unreadable, without a UNet, or with one for inpainting.
    """
    return take_apart(read_weights(path), file=path.name, companion=read_companion(path))


def take_apart(weights: Mapping[str, Tensor], *, file: str, companion: Companion) -> Checkpoint:
    """The parts of a checkpoint's ``weights``; ``file`` is its name in errors.

    Keys outside of all parts are passed over, as many published files carry some (docs/decisions/0005).

    Raises:
        BadModelFile: no UNet, or one for inpainting.
    """
    parts, rest = split_by_prefix(weights, PREFIXES)
    if not parts[UNET]:
        raise BadModelFile(f"{file}: not a checkpoint; no key starts with {UNET}")
    if rest:  # training averages, tables and notes of whoever merged the file; no part reads them
        logger.debug("%s: keys outside of all parts: %s", file, listed(rest))
    layout = read_layout(parts[UNET], file=file)
    if layout.in_channels != IMAGE_CHANNELS:
        raise BadModelFile(
            f"{file}: its UNet takes {layout.in_channels} channels; only UNets of {IMAGE_CHANNELS} are supported, "
            "not inpainting checkpoints"
        )
    return Checkpoint(file, parts, frozenset(rest), companion, layout)


def load_unet(
    checkpoint: Checkpoint, target: Target, *, heads: int | None = None
) -> tuple[UNet2DConditionModel, dict[str, str]]:
    """The UNet on the target, and its parameter names by checkpoint key.

    Raises:
        BadModelFile: a weight is missing or of another shape.
    """
    config: dict[str, Any] = unet_config(
        checkpoint.layout, checkpoint.companion.unet, heads=heads, file=checkpoint.file
    )
    unet = built(lambda: UNet2DConditionModel(**config), file=checkpoint.file, part="UNet")
    wanted = unet.state_dict().keys()
    names = {k: name for k, name in unet_names(checkpoint.layout, checkpoint.unet).items() if name in wanted}
    pass_over(checkpoint.unet.keys() - names.keys(), file=checkpoint.file, part="UNet")
    assign(
        unet,
        {name: checkpoint.unet[key] for key, name in names.items()},
        file=checkpoint.file,
        part="UNet",
        convert=lambda _, tensor: tensor.to(target.device, target.dtype),
    )
    settle_sinusoids(unet, target.device)
    return unet, names
