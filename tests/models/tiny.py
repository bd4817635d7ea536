"""The recordings' tiny model, loaded once a process; tests must leave it as it is."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import torch

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.families import Target, load_base
from tests.golden.records import OWN_RECORDS, Group

CHECKPOINT = OWN_RECORDS / "tiny" / "tiny_sdxl.safetensors"
TOKENIZER = CHECKPOINT.with_suffix("") / "tokenizer"
CPU = Target(torch.device("cpu"), torch.float32)


@cache
def tiny_model() -> DiffusionModel:
    return load_base(CHECKPOINT, CPU, tokenizer=Path("unused"))


@cache
def group(name: str) -> Group:
    return Group(OWN_RECORDS / f"{name}.json")
