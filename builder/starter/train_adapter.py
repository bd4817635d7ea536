"""``python -m builder.starter.train_adapter``: the image-prompt adapter of the starter model, resumable at any time.

Needs the checkpoint of a models folder and its teacher in the work folder. Vision tower and resampler learn to say of a
picture what the text encoders say of its caption. Every save writes the three files into the models folder.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import cached_property, partial
from random import Random

import torch
from torch import Tensor

from builder.starter.adapter import Adapter, write_files
from builder.starter.base import companion_parser, load_base
from builder.starter.image_samples import PromptPool, prompt_pool
from builder.starter.training import Course, State, cosine, forward_precision, run

WARM_STEPS = 100
USES = 4  # of each picture of a pool on average, before another pool is drawn
KEPT = 200  # held-back pictures
BETAS = (0.9, 0.98)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = companion_parser("train_adapter", __doc__)
    made.add_argument("--steps", type=int, required=True, help="steps in all; earlier runs' count")
    made.add_argument("--rate", type=float, default=1e-3)
    made.add_argument("--batch", type=int, default=64)
    made.add_argument("--pool", type=int, default=4000, help="pictures drawn at a time")
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
        self.adapter = Adapter(self.base.networks)
        learned = self.adapter.learned()
        optimiser = torch.optim.AdamW(learned.values(), lr=given.rate, betas=BETAS, weight_decay=0.01, fused=True)
        parts = {"adapter": {name: parameter.detach() for name, parameter in learned.items()}}
        self.state = State(given.work / "adapter.pt", parts, optimiser, base=self.base.fingerprint)

    def run(self) -> None:
        """Steps to the last one, then the files."""
        given, seed = self.given, self.state.seed(22)
        random = Random(seed)
        pools = Pools(lambda number: prompt_pool(self.base, number, given.pool, given.painters), seed, given.pool)

        def loss() -> Tensor:
            pool = pools.at_hand(given.batch)
            return self.error(pool, [random.randrange(len(pool.states)) for _ in range(given.batch)])

        def write() -> None:
            write_files(self.adapter, given.models)

        course = Course(
            loss=loss,
            rate=partial(cosine, warm=WARM_STEPS),
            measured=self._measured,
            seed=seed,
            write=write,
        )
        run(self.state, given.steps, course)

    def error(self, pool: PromptPool, chosen: list[int]) -> Tensor:
        """Mean error of the tokens of these pictures, in keys and values; 1 = no picture is told from another."""
        with forward_precision(self.base.device):
            tokens = self.adapter.tokens(pool.pixels(chosen))
        wrong = tokens.float() - pool.states[chosen]
        return ((wrong @ self._metric) * wrong).sum(-1).mean()

    @cached_property
    def kept(self) -> PromptPool:
        """Pictures that no training pool holds; their states set the scale of errors."""
        return prompt_pool(self.base, 5, KEPT)

    @cached_property
    def _metric(self) -> Tensor:
        return self.adapter.metric(self.kept.states)

    @torch.no_grad()
    def _measured(self) -> dict[str, float]:
        return {"valid": float(self.error(self.kept, list(range(KEPT))))}


class Pools:
    """One pool at a time, another after so many uses."""

    def __init__(self, draw: Callable[[int], PromptPool], seed: int, count: int) -> None:
        """``draw`` makes the pool of ``count`` pictures of a seed."""
        self._draw, self._seed, self._count = draw, seed, count
        self._pool: PromptPool | None = None
        self._left = 0

    def at_hand(self, uses: int) -> PromptPool:
        """The pool for the next ``uses`` samples."""
        if self._pool is None or self._left <= 0:
            self._pool = None  # first: two would take twice the memory
            self._pool = self._draw(self._seed)
            self._left = USES * self._count
            self._seed += 1
        self._left -= uses
        return self._pool


if __name__ == "__main__":
    main()
