"""A training of LoRA factors on the frozen UNet, resumable at any time. Which pictures, and what is learned, is given.

Needs the checkpoint of a models folder, into which it writes the file at every save, and its teacher in the work
folder, where it keeps its own state.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from copy import deepcopy
from functools import cache, cached_property, partial
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from builder.starter.base import companion_parser, load_base
from builder.starter.conditions import Conditions, conditions
from builder.starter.drawing import Style
from builder.starter.lora import adapt, write_lora
from builder.starter.model import NATIVE, Average
from builder.starter.pictures import Size, draw_pool
from builder.starter.samples import Batch, Pool, count_at, draw_batch, encoded_pool, mixed_size
from builder.starter.training import Course, State, falling, run
from fooocus_engine.models.catalogue import LORAS

Loss = Callable[[Tensor, Conditions], Tensor]
"""Clean latents ``[B, 4, h, w]`` of deviation 1 and their conditions → a scalar to make small."""

WARM_STEPS = 50
KEPT = 64  # pictures that are only measured


def lora_parser(module: str, told: str | None) -> argparse.ArgumentParser:
    """The command line of a training of factors."""
    parser = companion_parser(module, told)
    parser.add_argument("--steps", type=int, required=True, help="in all, those of earlier runs included")
    parser.add_argument("--rate", type=float, default=2e-3, help="falls to nothing at the last step")
    parser.add_argument("--batch", type=int, default=16, help="pictures of the native size in a step")
    parser.add_argument("--pool", type=int, default=8000, help="pictures of the native size that a run draws")
    return parser


class LoraRun:
    """The frozen networks, the UNet with factors, and their training."""

    def __init__(self, given: argparse.Namespace, file: str, *, strength: float = 1.0, style: Style = "filled") -> None:
        """``file`` is the name in ``loras/``, ``strength`` what the product loads it with.

        Raises:
            StaleState: the work folder's factors were learned upon another base.
        """
        torch.set_num_threads(1)
        torch.manual_seed(1)
        self.base = load_base(given.models, given.work, given.device)
        self.unet = deepcopy(self.base.networks.unet)
        self.factors = adapt(self.unet, strength=strength)
        self.average = Average({name: value.clone() for name, value in self.factors.state_dict().items()})
        optimiser = torch.optim.AdamW(
            self.factors.parameters(), lr=given.rate, betas=(0.9, 0.98), weight_decay=0, fused=True
        )
        parts = {"factors": self.factors.state_dict(), "average": self.average.weights}
        path = (given.work / file).with_suffix(".pt")
        self.state = State(path, parts, optimiser, base=self.base.fingerprint)
        self._given, self._style = given, style
        self._file: Path = given.models / LORAS / file

    def run(self, loss: Loss) -> None:
        """Steps until the last one; ``loss`` computes with ``unet``."""
        seed = self.state.seed(17)
        random = Random(seed)

        @cache
        def pool(size: Size) -> Pool:
            return self._drawn(seed, self._given.pool if size == NATIVE else self._given.pool // 5, size)

        def next_loss() -> Tensor:
            size = mixed_size(random)
            batch = draw_batch(pool(size), count_at(size, self._given.batch), self.base.words, random)
            return loss(batch.latents, self._conditions(batch))

        course = Course(
            loss=next_loss,
            rate=partial(falling, warm=WARM_STEPS),
            measured=lambda: {"valid": self._measured(loss)},
            seed=seed,
            stepped=lambda: self.average.update(self.factors, self.state.step),
            write=lambda: write_lora(self.average.weights, self._file),
        )
        run(self.state, self._given.steps, course)

    def _drawn(self, seed: int, count: int, size: Size) -> Pool:
        return encoded_pool(self.base.encoded, draw_pool(seed, count, (size,), self._given.painters, self._style), size)

    @cached_property
    def _kept(self) -> Pool:
        return self._drawn(5, KEPT, NATIVE)

    def _conditions(self, batch: Batch) -> Conditions:
        return conditions(self.base.networks, batch.chunks, batch.sizes)

    @torch.no_grad()
    def _measured(self, loss: Loss) -> float:
        """Loss of the averaged factors on held-back pictures, always with the same noise."""
        with self.average.shown(self.factors), torch.random.fork_rng():
            torch.manual_seed(3)
            batch = draw_batch(self._kept, KEPT, self.base.words, Random(4))
            return float(loss(batch.latents, self._conditions(batch)))
