"""From a checkpoint file to a DiffusionModel: detection in the order of FAMILIES, then that family's ``load``.

The doors are ``load_base``, ``load_refiner`` and ``load_vae``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.codec import LatentCodec
from fooocus_engine.models.companion import read_companion
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.families import sd15, sdxl, sdxl_refiner
from fooocus_engine.models.families.checkpoint import Checkpoint, Target, open_checkpoint
from fooocus_engine.models.families.vae import load_codec
from fooocus_engine.models.weights import read_weights

__all__ = ["FAMILIES", "NOT_SDXL", "Family", "Target", "detect", "load_base", "load_refiner", "load_vae"]

NOT_SDXL = "You have selected base model other than SDXL. This is not supported yet."


@dataclass(frozen=True)
class Family:
    """How one kind of checkpoint is told from the others, and loaded as a refiner."""

    name: str
    detect: Callable[[Checkpoint], bool]
    load_refiner: Callable[[Checkpoint, Target], DiffusionModel]


FAMILIES = (
    Family(sd15.NAME, sd15.detect, sd15.load),
    Family(sdxl_refiner.NAME, sdxl_refiner.detect, sdxl_refiner.load),
    Family(sdxl.NAME, sdxl.detect, lambda checkpoint, target: sdxl.load(checkpoint, target, None)),
)


def load_base(path: Path, target: Target, *, tokenizer: Path) -> DiffusionModel:
    """The SDXL-class model of a checkpoint. ``tokenizer`` is the folder used where its companion has none.

    Raises:
        ModelUnavailable: the file or the tokenizer's files are missing.
        BadModelFile: unreadable or incomplete, or not SDXL-class (models.md §4).
    """
    checkpoint = open_checkpoint(path)
    family = detect(checkpoint)
    if family is None or family.name != sdxl.NAME:
        raise BadModelFile(NOT_SDXL, hint=checkpoint.file)
    return sdxl.load(checkpoint, target, checkpoint.companion.tokenizer or tokenizer)


def load_refiner(path: Path, target: Target) -> DiffusionModel:
    """The model of a checkpoint as a refiner: no text encoders, and an autoencoder only if its latent space is its own.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: unreadable, incomplete or of no known family.
    """
    checkpoint = open_checkpoint(path)
    family = detect(checkpoint)
    if family is None:
        known = ", ".join(family.name for family in FAMILIES)
        raise BadModelFile(f"{checkpoint.file}: of no supported family ({known})")
    return family.load_refiner(checkpoint, target)


def load_vae(path: Path, device: torch.device) -> LatentCodec:
    """The autoencoder of a file in ``vae/``, in plain or diffusers keys; the model's latent scale stays (models.md §7).

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: unreadable or incomplete. A ``first_stage_model.`` prefix is not taken off.
    """
    return load_codec(read_weights(path), read_companion(path).vae, file=path.name, device=device)


def detect(checkpoint: Checkpoint) -> Family | None:
    """The first family that recognises ``checkpoint`` by its keys and shapes (models.md §5.2)."""
    return next((family for family in FAMILIES if family.detect(checkpoint)), None)
