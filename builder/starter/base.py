"""What companions are learned upon: a trained checkpoint, frozen, the teacher of its latents, its fingerprint.

Numbers that are drawn by lot, and tables, stay on the processor whatever device the networks are on.

``export`` writes both: the checkpoint into a models folder, the teacher into a work folder.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from builder.starter.autoencoder import Teacher, load_teacher
from builder.starter.export import NAME
from builder.starter.model import Networks, Words
from builder.starter.training import fingerprint, new_parser
from fooocus_engine.models.catalogue import CHECKPOINTS, Catalogue
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.store import ModelStore
from fooocus_engine.models.text_encoders import ClipEncoder
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice

PROCESSOR = torch.device("cpu")


@dataclass(frozen=True)
class Base:
    """All that a companion's training needs of it; nothing in it learns."""

    networks: Networks
    teacher: Teacher
    words: Words
    fingerprint: str
    device: torch.device

    def encoded(self, images: Tensor) -> Tensor:
        """Images ``[B, 3, h, w]`` in −1…1 → latents ``[B, 4, h/8, w/8]`` of deviation 1, on the networks' device."""
        latents: Tensor = self.teacher(images.to(self.device))
        return latents


def companion_parser(module: str, told: str | None) -> argparse.ArgumentParser:
    """The command line of a training upon a base."""
    parser = new_parser(module, told)
    parser.add_argument("--device", type=torch.device, default="cpu", help="where it learns; %(default)s")
    parser.add_argument("--painters", type=int, default=1, help="processes that draw its pictures; %(default)s")
    return parser


def load_base(models: Path, work: Path, device: torch.device = PROCESSOR) -> Base:
    """The checkpoint of the folder ``models`` and the teacher of the folder ``work``.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    networks, teacher = networks_of(loaded(models)), load_teacher(work)
    networks.eval().requires_grad_(False)
    words, mark = Words(networks.clip_l.tokenizer), fingerprint(networks.state_dict(), teacher.state_dict())
    return Base(networks.to(device), teacher.to(device), words, mark, device)


def loaded(models: Path) -> DiffusionModel:
    """The checkpoint of the starter model, in float32 on the processor.

    Raises:
        FileNotFoundError: the folder has none; the shipped one, which the engine falls back to, is another base.
    """
    if not (models / CHECKPOINTS / NAME).is_file():
        raise FileNotFoundError(f"no checkpoint {NAME!r} in {models / CHECKPOINTS}; export it first")
    store = ModelStore(Settings(models_dir=models, device="cpu"), Catalogue(models))
    with store.prepared(ModelChoice(NAME)) as prepared:
        return prepared.base


def moved(base: DiffusionModel, device: torch.device) -> DiffusionModel:
    """``base`` with its UNet and text encoders on ``device``; they are the same modules."""
    for network in (base.unet, *encoders_of(base)):
        network.to(device)
    return replace(base, device=device)


def networks_of(base: DiffusionModel) -> Networks:
    """UNet and text encoders of a starter model's checkpoint, as its training has them."""
    clip_l, clip_g = encoders_of(base)
    networks = Networks(clip_l.tokenizer)
    parts = ((networks.unet, base.unet), (networks.clip_l, clip_l), (networks.clip_g, clip_g))
    for own, stored in parts:
        own.load_state_dict(stored.state_dict())
    return networks


def encoders_of(base: DiffusionModel) -> tuple[ClipEncoder, ClipEncoder]:
    """Both text encoders of such a checkpoint."""
    assert base.text is not None
    assert base.text.clip_l is not None
    assert base.text.clip_g is not None
    return base.text.clip_l, base.text.clip_g
