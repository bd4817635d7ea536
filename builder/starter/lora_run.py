"""A training of LoRA factors on the frozen UNet, resumable at any time. Which pictures, and what is learned, is given.

Needs the work folder's ``diffusion.pt`` and ``autoencoder.pt``; keeps its own state beside them and writes the file
into a models folder at every save.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn

from builder.starter.checkpoints import save_whole
from builder.starter.conditions import Conditions, conditions
from builder.starter.drawing import Style
from builder.starter.lora import RANK, adapt, write_lora
from builder.starter.model import NATIVE, Average, Networks, Words, new_tokenizer
from builder.starter.pictures import Size, draw_pool
from builder.starter.progress import Log
from builder.starter.rates import falling
from builder.starter.samples import Batch, Pool, draw_batch, encoded_pool
from builder.starter.train import OTHER_SIZES
from builder.starter.train_autoencoder import load_parts

Loss = Callable[[Tensor, Conditions], Tensor]
"""Clean latents ``[B, 4, h, w]`` of deviation 1 and their conditions → a scalar to make small."""

SAVE_EVERY_S = 120
OTHER_SIZES_SHARE = 0.3  # of the steps
WARM_STEPS = 50
KEPT = 64  # pictures that are only measured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What every training of factors can be told."""
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="where checkpoints and logs lie")
    parser.add_argument("--models", type=Path, default=Path("build/starter/models"), help="a models folder")
    parser.add_argument("--steps", type=int, required=True, help="in all, those of earlier runs included")
    parser.add_argument("--rate", type=float, default=2e-3, help="falls to nothing at the last step")
    parser.add_argument("--batch", type=int, default=16, help="pictures of the native size in a step")
    parser.add_argument("--rank", type=int, default=RANK)
    parser.add_argument("--pool", type=int, default=8000, help="pictures of the native size that a run draws")


class LoraRun:
    """The frozen networks, the UNet with factors, and their training."""

    def __init__(self, given: argparse.Namespace, file: str, *, strength: float = 1.0, style: Style = "filled") -> None:
        """``file`` is the name in ``loras/``, ``strength`` what the product loads it with."""
        torch.set_num_threads(1)
        torch.manual_seed(1)
        self.given, self.file, self.style = given, file, style
        self.words = Words(new_tokenizer(given.work / f"tokenizer-{Path(file).stem}"))
        self.base = Networks(self.words.tokenizer)
        self.base.load_state_dict(torch.load(given.work / "diffusion.pt", weights_only=True)["average"])
        self.base.requires_grad_(False)
        self.unet = deepcopy(self.base.unet)
        self.factors = adapt(self.unet, given.rank, strength)
        self.optimiser = torch.optim.AdamW(
            self.factors.parameters(), lr=given.rate, betas=(0.9, 0.98), weight_decay=0, fused=True
        )
        self.average = Average({name: value.clone() for name, value in self.factors.state_dict().items()})
        self.step = self._resumed()
        self._teacher = load_parts(given.work / "autoencoder.pt")[0].teacher

    @property
    def _path(self) -> Path:
        return Path(self.given.work / self.file).with_suffix(".pt")

    def _resumed(self) -> int:
        if not self._path.is_file():
            return 0
        state = torch.load(self._path, weights_only=True)
        self.factors.load_state_dict(state["factors"])
        self.average.weights.update(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])

    def _save(self) -> None:
        state = {"factors": self.factors.state_dict(), "average": self.average.weights, "step": self.step}
        write_lora(self.average.weights, self.given.models / "loras" / self.file)  # first: what is done has its file
        save_whole(self._path, **state, optimiser=self.optimiser.state_dict())

    def run(self, loss: Loss) -> None:
        """Steps until the last one; ``loss`` computes with ``unet``."""
        if self.step >= self.given.steps:
            return
        seed = 1000 * self.step + 17
        random = Random(seed)
        pools: dict[Size, Pool] = {}
        kept = self._drawn(5, KEPT, NATIVE)
        torch.manual_seed(seed)
        log = Log(self._path.with_suffix(".csv"))
        saved = time.monotonic()
        while self.step < self.given.steps:
            size = NATIVE if random.random() > OTHER_SIZES_SHARE else random.choice(OTHER_SIZES)
            if size not in pools:
                pools[size] = self._drawn(seed, self.given.pool if size == NATIVE else self.given.pool // 5, size)
            log.add(self.step, loss=self._advance(loss, draw_batch(pools[size], self._batch(size), self.words, random)))
            last = self.step == self.given.steps
            if last or time.monotonic() - saved > SAVE_EVERY_S:
                log.add(self.step, valid=self._measured(loss, kept))
                log.flush()
                self._save()
                saved = time.monotonic()

    def _drawn(self, seed: int, count: int, size: Size) -> Pool:
        return encoded_pool(self._teacher, draw_pool(seed, count, (size,), 1, self.style), size)

    def _batch(self, size: Size) -> int:
        return max(4, int(self.given.batch * NATIVE[0] * NATIVE[1] / (size[0] * size[1])))

    def _advance(self, loss: Loss, batch: Batch) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self.given.rate * falling(self.step, self.given.steps, WARM_STEPS)
        error = loss(batch.latents, conditions(self.base, batch))
        self.optimiser.zero_grad()
        error.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.factors.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self.average.update(self.factors, self.step)
        return float(error.detach())

    @torch.no_grad()
    def _measured(self, loss: Loss, kept: Pool) -> float:
        """Loss of the averaged factors on held-back pictures, always with the same noise."""
        with self.average.shown(self.factors), torch.random.fork_rng():
            torch.manual_seed(3)
            batch = draw_batch(kept, len(kept.scenes), self.words, Random(4))
            return float(loss(batch.latents, conditions(self.base, batch)))
