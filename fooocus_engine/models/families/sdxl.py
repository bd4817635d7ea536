"""SDXL and what shares its layout (SSD-1B, Segmind Vega, Playground, tiny models): two text encoders, size numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.families.checkpoint import CLIP_G, CLIP_L, V_PREDICTION, VAE, Checkpoint, Target, load_unet
from fooocus_engine.models.families.clip import ClipSource, clip_g_tensors, clip_l_tensors, load_clip_g, load_clip_l
from fooocus_engine.models.families.vae import load_codec
from fooocus_engine.models.text_encoders import TextEncoders, Tokenizer

NAME = "sdxl"
LATENT_SCALE = 0.13025
SIZE_NUMBERS = 6
SIZE_WIDTH = 256  # sinusoidal features of one size number


def detect(checkpoint: Checkpoint) -> bool:
    """Two text encoders, whose widths make up the context and whose projection and six sizes make up the vector."""
    if not checkpoint.parts[CLIP_L] or not checkpoint.parts[CLIP_G]:
        return False
    clip_l = clip_l_tensors(checkpoint.parts[CLIP_L])
    clip_g = clip_g_tensors(checkpoint.parts[CLIP_G])
    table = "text_model.embeddings.token_embedding.weight"
    if table not in clip_l or table not in clip_g or "text_projection" not in clip_g:
        return False
    context = clip_l[table].shape[1] + clip_g[table].shape[1]
    adm = clip_g["text_projection"].shape[1] + SIZE_NUMBERS * SIZE_WIDTH
    return checkpoint.layout.context == context and checkpoint.layout.adm == adm


def load(checkpoint: Checkpoint, target: Target, tokenizer: Path | None) -> DiffusionModel:
    """The whole model; without a ``tokenizer`` folder the UNet alone, as a refiner needs it.

    Raises:
        ModelUnavailable: the tokenizer's files are missing.
        BadModelFile: a weight is missing or of another shape.
    """
    text = None if tokenizer is None else _text(checkpoint, target, Tokenizer(tokenizer))
    unet, names = load_unet(checkpoint, target)
    codec = None
    if tokenizer is not None:
        told = checkpoint.companion.vae
        codec = load_codec(checkpoint.parts[VAE], told, file=checkpoint.file, device=target.device)
    return DiffusionModel(
        family=NAME,
        unet=unet,
        codec=codec,
        text=text,
        prediction="v" if V_PREDICTION in checkpoint.markers else "epsilon",
        unet_names=names,
        latent_scale=LATENT_SCALE,
        device=target.device,
        dtype=target.dtype,
    )


def _text(checkpoint: Checkpoint, target: Target, tokenizer: Tokenizer) -> TextEncoders:
    def source(told: Mapping[str, Any]) -> ClipSource:
        return ClipSource(checkpoint.file, told, tokenizer, target.device, target.text_dtype)

    return TextEncoders(
        clip_l=load_clip_l(checkpoint.parts[CLIP_L], source(checkpoint.companion.text_encoder)),
        clip_g=load_clip_g(checkpoint.parts[CLIP_G], source(checkpoint.companion.text_encoder_2)),
    )
