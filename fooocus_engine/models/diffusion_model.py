"""DiffusionModel: a loaded checkpoint as conditioning and sampling see it. Knows no files and never changes itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel

from fooocus_engine.models.codec import LatentCodec
from fooocus_engine.models.text_encoders import TextEncoders


@dataclass(frozen=True, eq=False)
class DiffusionModel:
    """A UNet with what belongs to it. Modules are in evaluation mode, without gradients."""

    family: str
    """``sdxl``, ``sdxl_refiner`` or ``sd15``."""
    unet: UNet2DConditionModel
    codec: LatentCodec | None
    """``None`` for a refiner that shares the base's latent space."""
    text: TextEncoders | None
    """``None`` for refiners: texts are always encoded by the base (prompt.md §17)."""
    prediction: str
    """What the UNet puts out: ``epsilon`` or ``v``."""
    unet_names: Mapping[str, str]
    """Checkpoint key without ``model.diffusion_model.`` → diffusers parameter name, for every UNet parameter."""
    latent_scale: float
    """Model-space latent = unscaled latent × this (sampling.md §8.4)."""
    device: torch.device
    dtype: torch.dtype
    """Of the UNet."""
