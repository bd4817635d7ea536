"""The trained base that companions are learned upon: frozen networks, the teacher of its latents, its fingerprint."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from builder.starter.autoencoder import Teacher
from builder.starter.model import Networks, Words, new_tokenizer
from builder.starter.train_autoencoder import load_parts
from builder.starter.training import fingerprint


@dataclass(frozen=True)
class Base:
    """All that a companion's training needs of it; nothing in it learns."""

    networks: Networks
    teacher: Teacher
    words: Words
    fingerprint: str


def load_base(work: Path) -> Base:
    """The averaged weights of ``diffusion.pt`` and the teacher of ``autoencoder.pt``, both in the folder ``work``.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    words = Words(new_tokenizer())
    networks = Networks(words.tokenizer)
    networks.load_state_dict(torch.load(work / "diffusion.pt", weights_only=True)["average"])
    teacher = load_parts(work / "autoencoder.pt").teacher
    for module in (networks, teacher):
        module.eval().requires_grad_(False)
    return Base(networks, teacher, words, fingerprint(networks.state_dict(), teacher.state_dict()))
