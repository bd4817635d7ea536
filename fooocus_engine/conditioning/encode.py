"""The room's door: texts and size → the Conditioning of a base model, and from that the one of a refiner."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from fooocus_engine.conditioning.size import consistent, emphasised, for_sdxl_refiner
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.types import Conditioning


def for_base(
    encoded: tuple[Tensor, Tensor], size: tuple[int, int], *, adm_scale: float, adm_end: float
) -> Conditioning:
    """Conditioning of an SDXL base model from (cross-attention, pooled) and the latent's size in pixels.

    ``adm_scale`` multiplies the claimed size while less than ``adm_end`` of the schedule is done (sampling.md §7.3).
    """
    cross_attention, pooled = encoded
    early, late = emphasised(size, adm_scale), consistent(size)
    return Conditioning(cross_attention, pooled, early.to(pooled.device), late.to(pooled.device), adm_end)


def for_refiner(
    base: Conditioning, size: tuple[int, int], base_model: DiffusionModel, refiner: DiffusionModel, *, positive: bool
) -> Conditioning:
    """The base's conditioning in the form that ``refiner`` understands (prompt.md §17).

    An SDXL model takes it whole; the SDXL refiner takes bigG's channels and its own size numbers; any other model takes
    CLIP-L's channels, each block of 77 tokens through CLIP-L's final layer norm, and nothing else. None takes controls.
    """
    width = int(refiner.unet.config.cross_attention_dim)
    match refiner.family:
        case "sdxl":
            return replace(base, controls=())
        case "sdxl_refiner":
            row = for_sdxl_refiner(size, positive=positive).to(base.cross_attention.device)
            channels = base.cross_attention[..., -width:]
            told = replace(base, size_early=row, size_late=row, early_until=0.0)
            return replace(told, cross_attention=channels, controls=())
        case _:
            return Conditioning(_normalised(base.cross_attention[..., :width], base_model))


def _normalised(cross_attention: Tensor, base_model: DiffusionModel) -> Tensor:
    encoder = base_model.text.clip_l if base_model.text else None
    if encoder is None:
        raise ValueError("the base model has no CLIP-L text encoder")
    # Normed position by position, so blocks of 77 tokens need not be taken apart.
    normed: Tensor = encoder.final_layer_norm(cross_attention)
    return normed
