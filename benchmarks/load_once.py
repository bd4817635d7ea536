"""One load of a checkpoint in a fresh process: ``python -m benchmarks.load_once MODELS_FOLDER NAME`` prints JSON.

Loads through the store as a worker does, in half precision on the processor, and reads every byte of every weight, so
that nothing stays unread behind a memory map.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.models.store import ModelStore, Prepared
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice

NUMBERS_PER_WORD = {2: 4, 4: 2}  # bytes of a number → how many of them are 64 bits


def main() -> None:
    """Load, touch, tell seconds and peak memory."""
    models, name = Path(sys.argv[1]), sys.argv[2]
    store = ModelStore(Settings(models_dir=models, device="cpu", dtype="float16"), Catalogue(models))
    began = time.perf_counter()
    with store.prepared(ModelChoice(name)) as prepared:
        built = time.perf_counter()
        touched = sum(touch(module) for module in networks(prepared))
    facts = {
        "built_s": built - began,
        "touched_s": time.perf_counter() - began,
        "touched_bytes": touched,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    sys.stdout.write(json.dumps(facts) + "\n")


def networks(prepared: Prepared) -> list[nn.Module]:
    """Everything that was loaded.

    Raises:
        ValueError: the base lacks a part.
    """
    base = prepared.base
    if base.codec is None or base.text is None or base.text.clip_l is None or base.text.clip_g is None:
        raise ValueError("a base model has an autoencoder and two text encoders")
    return [base.unet, base.codec.vae, base.text.clip_l, base.text.clip_g]


def touch(module: nn.Module) -> int:
    """Bytes of the module's weights, each of which has been read."""
    for weight in module.parameters():
        _sum(weight.detach().reshape(-1))
    return sum(weight.numel() * weight.element_size() for weight in module.parameters())


def _sum(numbers: Tensor) -> int:
    """Sum of the bits as whole words, which is as fast as reading; what is left of a word counts by its own."""
    per_word = NUMBERS_PER_WORD[numbers.element_size()]
    whole = len(numbers) // per_word * per_word
    return int(numbers[:whole].view(torch.int64).sum()) + int(numbers[whole:].view(torch.uint8).sum())


if __name__ == "__main__":
    main()
