"""Stable Diffusion 1.5, usable as a refiner: own latent space, CLIP-L context, no vector embedding."""

from __future__ import annotations

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.families.checkpoint import SD15_CLIP, VAE, Checkpoint, Target, load_unet
from fooocus_engine.models.families.clip import clip_l_tensors
from fooocus_engine.models.families.vae import load_codec

NAME = "sd15"
LATENT_SCALE = 0.18215
HEADS = 8  # at every level


def detect(checkpoint: Checkpoint) -> bool:
    """One CLIP-L of the context's width, no vector embedding, attention entered by convolutions."""
    if not checkpoint.parts[SD15_CLIP] or checkpoint.layout.adm is not None or checkpoint.layout.linear:
        return False
    table = clip_l_tensors(checkpoint.parts[SD15_CLIP]).get("text_model.embeddings.token_embedding.weight")
    return table is not None and table.shape[1] == checkpoint.layout.context


def load(checkpoint: Checkpoint, target: Target) -> DiffusionModel:
    """UNet and autoencoder; the text encoder is dropped, the base's serves (prompt.md §17).

    Raises:
        BadModelFile: a weight is missing or of another shape.
    """
    unet, names = load_unet(checkpoint, target, heads=HEADS)
    told = checkpoint.companion.vae
    return DiffusionModel(
        family=NAME,
        unet=unet,
        codec=load_codec(checkpoint.parts[VAE], told, file=checkpoint.file, device=target.device),
        text=None,
        prediction="epsilon",
        unet_names=names,
        latent_scale=LATENT_SCALE,
        device=target.device,
        dtype=target.dtype,
    )
