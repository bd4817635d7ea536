"""What companions are learned upon: a trained checkpoint, frozen, the teacher of its latents, its fingerprint.

``export`` writes both: the checkpoint into a models folder, the teacher into a work folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from builder.starter.autoencoder import Teacher, load_teacher
from builder.starter.export import NAME
from builder.starter.model import Networks, Words
from builder.starter.training import fingerprint
from fooocus_engine.models.catalogue import CHECKPOINTS, Catalogue
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.store import ModelStore
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice


@dataclass(frozen=True)
class Base:
    """All that a companion's training needs of it; nothing in it learns."""

    networks: Networks
    teacher: Teacher
    words: Words
    fingerprint: str


def load_base(models: Path, work: Path) -> Base:
    """The checkpoint of the folder ``models`` and the teacher of the folder ``work``.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    networks, teacher = networks_of(loaded(models)), load_teacher(work)
    networks.eval().requires_grad_(False)
    words = Words(networks.clip_l.tokenizer)
    return Base(networks, teacher, words, fingerprint(networks.state_dict(), teacher.state_dict()))


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


def networks_of(base: DiffusionModel) -> Networks:
    """UNet and text encoders of a starter model's checkpoint, as its training has them."""
    assert base.text is not None
    assert base.text.clip_l is not None
    assert base.text.clip_g is not None
    networks = Networks(base.text.clip_l.tokenizer)
    parts = ((networks.unet, base.unet), (networks.clip_l, base.text.clip_l), (networks.clip_g, base.text.clip_g))
    for own, stored in parts:
        own.load_state_dict(stored.state_dict())
    return networks
