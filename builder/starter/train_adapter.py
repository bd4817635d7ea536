"""``python -m builder.starter.train_adapter``: the image-prompt adapter of the starter model, resumable at any time.

Needs the checkpoint of a models folder and its teacher in the work folder. First the vision tower learns to tell facts
(``--tower``), then all of the adapter learns by the error of the frozen UNet, whose texts leave most to the picture
(``--steps``). Every save of the second part writes the three files into the models folder.
"""

from __future__ import annotations

import argparse
from functools import cached_property, partial
from random import Random

import torch
from torch import Tensor
from torch.nn import functional as F

from builder.starter.adapter import Adapter, fact_rows, write_files
from builder.starter.base import companion_parser, load_base
from builder.starter.conditions import conditions
from builder.starter.denoising import draw_timesteps, noised, weighted_loss
from builder.starter.image_samples import (
    PromptBatch,
    PromptPool,
    draw_prompt_batch,
    prompt_pixels,
    prompt_pool,
)
from builder.starter.model import Average
from builder.starter.samples import Encoder
from builder.starter.training import Course, State, falling, forward_precision, run
from fooocus_engine.models.image_attention import Among, layer_widths, looking_at

WARM_STEPS = 100
USES = 4  # of each scene of a pool, before another pool is drawn
KEPT = 64  # held-back scenes
TOWER_SHARE = 0.3  # of the rate, for the tower once it knows facts
FACT_WEIGHT = 8.0  # of a fact that is there: a scene has about five of a hundred
BETAS = (0.9, 0.98)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = companion_parser("train_adapter", __doc__)
    made.add_argument("--tower", type=int, required=True, help="steps of the vision tower alone")
    made.add_argument("--steps", type=int, required=True, help="steps of the whole; earlier runs' count in both")
    made.add_argument("--rate", type=float, default=1e-3)
    made.add_argument("--batch", type=int, default=32)
    made.add_argument("--pool", type=int, default=2000, help="scenes drawn at a time")
    return made


def main() -> None:
    """Train for so many steps."""
    given = parser().parse_args()
    torch.set_num_threads(1)
    Run(given).run()


class Run:
    """A run, from its pools to the last step."""

    def __init__(self, given: argparse.Namespace) -> None:
        """Where the work folder's training stands.

        Raises:
            StaleState: it was learned upon another base.
        """
        self.given = given
        self.base = load_base(given.models, given.work, given.device)
        torch.manual_seed(1)
        self.adapter = Adapter(layer_widths(self.base.networks.unet)).to(given.device)
        tower = self.adapter.tower
        optimiser = torch.optim.AdamW(tower.parameters(), lr=given.rate, betas=BETAS, weight_decay=0.01, fused=True)
        path = given.work / "tower.pt"
        self.tower = State(path, {"tower": tower.state_dict()}, optimiser, base=self.base.fingerprint)

    def run(self) -> None:
        """Both stages to their last step, then the files."""
        self._learn_facts()
        state, average = self._whole()
        self._learn_all(state, average)

    def _learn_facts(self) -> None:
        given, seed = self.given, self.tower.seed(21)
        random = Random(seed)
        pools = Pools(self.base.encoded, seed, given.pool, given.painters)

        def loss() -> Tensor:
            pool = pools.at_hand(given.batch)
            chosen = [random.randrange(len(pool.scenes)) for _ in range(given.batch)]
            with forward_precision(self.base.device):
                scores = self.adapter.fact_scores(prompt_pixels(pool, chosen, random))
            return fact_loss(scores.float(), fact_rows([pool.scenes[index] for index in chosen]).to(scores.device))

        course = Course(loss=loss, rate=partial(falling, warm=WARM_STEPS), measured=self._told_facts, seed=seed)
        run(self.tower, given.tower, course)

    def _whole(self) -> tuple[State, Average]:
        """The second stage as it stands; it begins with the tower of the first."""
        groups = self.adapter.groups(self.given.rate, TOWER_SHARE)
        optimiser = torch.optim.AdamW(groups, betas=BETAS, weight_decay=0.01, fused=True)
        average = Average({name: value.clone() for name, value in self.adapter.state_dict().items()})
        parts = {"adapter": self.adapter.state_dict(), "average": average.weights}
        return State(self.given.work / "adapter.pt", parts, optimiser, base=self.base.fingerprint), average

    def _learn_all(self, state: State, average: Average) -> None:
        given, seed = self.given, state.seed(22)
        random = Random(seed)
        pools = Pools(self.base.encoded, seed, given.pool, given.painters)

        def loss() -> Tensor:
            batch = draw_prompt_batch(pools.at_hand(given.batch), given.batch, self.base.words, random)
            timesteps, noise = draw_timesteps(given.batch), torch.randn_like(batch.latents)
            return weighted_loss(self._estimate(batch, timesteps, noise) - noise, timesteps)

        def write() -> None:
            with average.shown(self.adapter):
                write_files(self.adapter, given.models)

        course = Course(
            loss=loss,
            rate=partial(falling, warm=WARM_STEPS),
            measured=lambda: self._measured(average),
            seed=seed,
            stepped=lambda: average.update(self.adapter, state.step),
            write=write,
        )
        run(state, given.steps, course)

    def _estimate(self, batch: PromptBatch, timesteps: Tensor, noise: Tensor) -> Tensor:
        networks = self.base.networks
        asked = conditions(networks, batch.chunks, batch.sizes)
        with forward_precision(self.base.device):
            looked = Among(self.adapter.keys_values(batch.pixels, batch.is_negative, batch.weight))
            with looking_at(networks.unet, [looked]):
                return asked.noise(networks.unet, noised(batch.latents, noise, timesteps), timesteps)

    @cached_property
    def _kept(self) -> PromptPool:
        return prompt_pool(self.base.encoded, 5, KEPT)

    @torch.no_grad()
    def _told_facts(self) -> dict[str, float]:
        """Of held-back pictures: loss, and the share of facts that are told rightly."""
        kept = self._kept
        rows = fact_rows(kept.scenes).to(self.base.device)
        scores = self.adapter.fact_scores(prompt_pixels(kept, range(KEPT), Random(4)))
        right = ((scores > 0) == (rows > 0)).float()
        return {"valid": float(fact_loss(scores, rows)), "facts_right": float(right.mean())}

    @torch.no_grad()
    def _measured(self, average: Average) -> dict[str, float]:
        """Error of the averaged weights on held-back scenes without text: with their pictures, others', none."""
        kept, generator = self._kept, torch.Generator().manual_seed(3)
        drawn = draw_prompt_batch(kept, KEPT, self.base.words, Random(4))
        noise = torch.randn(kept.latents.shape, generator=generator).to(self.base.device)
        timesteps = torch.arange(KEPT) * 1000 // KEPT
        own = prompt_pixels(kept, range(KEPT), Random(4))
        results = {}
        for name, pixels, negative in (("", own, False), ("_wrong", own.roll(1, 0), False), ("_none", own, True)):
            batch = PromptBatch(
                latents=kept.latents.float(),
                chunks=[[[]]] * KEPT,
                sizes=drawn.sizes,
                pixels=pixels,
                is_negative=torch.full((KEPT,), negative, device=self.base.device),
                weight=torch.ones(KEPT, device=self.base.device),
            )
            with average.shown(self.adapter):
                results[f"valid{name}"] = float(F.mse_loss(self._estimate(batch, timesteps, noise), noise))
        return results


class Pools:
    """One pool at a time, another after so many uses."""

    def __init__(self, encoder: Encoder, seed: int, count: int, painters: int) -> None:
        self._encoder, self._seed, self._count, self._painters = encoder, seed, count, painters
        self._pool: PromptPool | None = None
        self._left = 0

    def at_hand(self, uses: int) -> PromptPool:
        """The pool for the next ``uses`` samples."""
        if self._pool is None or self._left <= 0:
            self._pool = prompt_pool(self._encoder, self._seed, self._count, self._painters)
            self._left = USES * self._count
            self._seed += 1
        self._left -= uses
        return self._pool


def fact_loss(scores: Tensor, rows: Tensor) -> Tensor:
    """Cross-entropy of each fact by itself; ``scores`` are logits, ``rows`` 0 or 1, both ``[B, facts]``."""
    return F.binary_cross_entropy_with_logits(scores, rows, pos_weight=scores.new_tensor(FACT_WEIGHT))


if __name__ == "__main__":
    main()
