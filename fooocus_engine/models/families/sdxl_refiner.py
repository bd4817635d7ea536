"""The SDXL refiner: bigG's context alone, five size numbers. Its own text encoder and autoencoder are not loaded."""

from __future__ import annotations

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.families.checkpoint import REFINER_CLIP_G, V_PREDICTION, Checkpoint, Target, load_unet
from fooocus_engine.models.families.clip import clip_g_tensors

NAME = "sdxl_refiner"
LATENT_SCALE = 0.13025
SIZE_NUMBERS = 5
SIZE_WIDTH = 256


def detect(checkpoint: Checkpoint) -> bool:
    """bigG is the only text encoder; its width is the context, its projection and five sizes make up the vector."""
    if not checkpoint.parts[REFINER_CLIP_G]:
        return False
    clip_g = clip_g_tensors(checkpoint.parts[REFINER_CLIP_G])
    table = clip_g.get("text_model.embeddings.token_embedding.weight")
    projection = clip_g.get("text_projection")
    if table is None or projection is None:
        return False
    adm = projection.shape[1] + SIZE_NUMBERS * SIZE_WIDTH
    return checkpoint.layout.context == table.shape[1] and checkpoint.layout.adm == adm


def load(checkpoint: Checkpoint, target: Target) -> DiffusionModel:
    """The UNet.

    Raises:
        BadModelFile: a weight is missing or of another shape.
    """
    unet, names = load_unet(checkpoint, target)
    return DiffusionModel(
        family=NAME,
        unet=unet,
        codec=None,
        text=None,
        prediction="v" if V_PREDICTION in checkpoint.markers else "epsilon",
        unet_names=names,
        latent_scale=LATENT_SCALE,
        device=target.device,
        dtype=target.dtype,
    )
