"""Bases for trainings of companions: an untrained checkpoint in a models folder, a teacher in a work folder."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from builder.starter.autoencoder import Teacher, fold_scale, new_autoencoder, write_teacher
from builder.starter.export import NAME, write_checkpoint
from builder.starter.model import Networks, new_tokenizer
from fooocus_engine.models.catalogue import CHECKPOINTS


def write_base(models: Path, work: Path) -> None:
    """Of fixed seeds."""
    torch.manual_seed(0)
    vae = new_autoencoder()
    fold_scale(vae)
    write_checkpoint(Networks(new_tokenizer()).state_dict(), vae.state_dict(), models / CHECKPOINTS)
    write_teacher(Teacher(), work)


def move(models: Path) -> None:
    """Make it another base, by one bias."""
    path = models / CHECKPOINTS / NAME
    tensors = load_file(path)
    tensors["model.diffusion_model.out.2.bias"] += 0.01
    save_file(tensors, path)
