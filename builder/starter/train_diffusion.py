"""``python -m builder.starter.train_diffusion``: UNet and text encoders together, resumable at any time.

Needs the autoencoder's teacher. Several workers average their gradients; one thread each, which is what scales here.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import cache, cached_property, partial
from random import Random

import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn import functional as F

from builder.starter.conditions import conditions
from builder.starter.denoising import draw_timesteps, noised, weighted_loss
from builder.starter.model import NATIVE, Average, Chunks, Networks, Words, new_tokenizer
from builder.starter.pictures import Size
from builder.starter.samples import OTHER_SIZES, Batch, Pool, Renewal, count_at, draw_batch, latent_pool
from builder.starter.train_autoencoder import load_parts
from builder.starter.training import Alone, Course, State, Workers, falling, run, work_parser

NATIVE_SHARE = 0.55  # of steps, once other sizes are mixed in
WARM_STEPS = 100
USES = 5  # of a picture, on average, before another takes its place
KEPT = 128  # held-back pictures
MEETING = "meeting"  # the file through which workers find each other


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = work_parser("train_diffusion", __doc__)
    made.add_argument("--steps", type=int, required=True, help="in all, those of earlier runs included")
    made.add_argument("--decay-from", type=int, required=True, help="step from which the rate falls to nothing")
    made.add_argument("--sizes-from", type=int, required=True, help="step from which other sizes are mixed in")
    made.add_argument("--rate", type=float, default=7e-4)
    made.add_argument("--batch", type=int, default=32, help="of each worker")
    made.add_argument("--workers", type=int, default=1)
    made.add_argument("--pool", type=int, default=4_000, help="pictures of the native size that a worker has at hand")
    return made


def main() -> None:
    """Train for so many steps in all."""
    start(parser().parse_args())


def start(given: argparse.Namespace) -> None:
    """Train as ``given``, in as many processes as it asks for."""
    if given.workers == 1:
        torch.set_num_threads(1)
        Run(given, 0, Alone()).run()
    else:
        (given.work / MEETING).unlink(missing_ok=True)  # a killed run leaves its own, at which nobody would answer
        multiprocessing.spawn(work, (given,), nprocs=given.workers)  # type: ignore[attr-defined,no-untyped-call]


def work(rank: int, given: argparse.Namespace) -> None:
    """One of several workers, from its pools to the last step."""
    torch.set_num_threads(1)
    meeting = f"file://{(given.work / MEETING).absolute()}"
    distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=given.workers)
    Run(given, rank, Team(rank, given.workers)).run()
    distributed.destroy_process_group()


class Team:
    """Processes of one parent, of which this is one."""

    def __init__(self, rank: int, count: int) -> None:
        self.is_first = rank == 0
        self._count = count
        self._parent = os.getppid()

    def are_whole(self) -> bool:
        """Whether the parent is there: an orphan would overwrite a later run's state."""
        return os.getppid() == self._parent

    def average_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Give each parameter the mean of all workers' gradients."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        parts = flat.div_(self._count).split([gradient.numel() for gradient in gradients])  # type: ignore[no-untyped-call]
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))


class Run:
    """A run of one worker."""

    def __init__(self, given: argparse.Namespace, rank: int, workers: Workers) -> None:
        self.given, self.rank, self.workers = given, rank, workers
        self.words = Words(new_tokenizer())
        torch.manual_seed(1)
        self.networks = Networks(self.words.tokenizer)
        self.average = Average({name: value.clone() for name, value in self.networks.state_dict().items()})
        optimiser = torch.optim.AdamW(
            self.networks.parameters(), lr=given.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        parts = {"networks": self.networks.state_dict(), "average": self.average.weights}
        self.state = State(given.work / "diffusion.pt", parts, optimiser)
        self.teacher = load_parts(given.work / "autoencoder.pt").teacher.eval()

    def run(self) -> None:
        """Steps until the last one."""
        given, state, seed = self.given, self.state, self.state.seed(self.rank + 11)
        random = Random(seed)

        @cache
        def pool(size: Size) -> tuple[Pool, Renewal]:
            count = given.pool if size == NATIVE else given.pool // 5
            drawn = latent_pool(self.teacher, seed, count, size, 1)
            return drawn, Renewal(drawn, self.teacher)

        def loss() -> Tensor:
            size = shared_size(state.step, given.sizes_from)
            drawn, renewal = pool(size)
            count = count_at(size, given.batch)
            batch = draw_batch(drawn, count, self.words, random)
            renewal.renew(-(-count // USES), random)
            return self.loss(batch, draw_timesteps(len(batch.latents)), torch.randn_like(batch.latents))

        course = Course(
            loss=loss,
            rate=partial(falling, warm=WARM_STEPS, decay_from=given.decay_from),
            measured=self._measured,
            seed=seed,
            stepped=lambda: self.average.update(self.networks, state.step),
            workers=self.workers,
        )
        run(state, given.steps, course)

    def loss(self, batch: Batch, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Weighted error of the noise estimate."""
        return weighted_loss(self._estimate(batch, batch.chunks, timesteps, noise) - noise, timesteps)

    def _estimate(self, batch: Batch, chunks: Chunks, timesteps: Tensor, noise: Tensor) -> Tensor:
        asked = conditions(self.networks, chunks, batch.sizes)
        return asked.noise(self.networks.unet, noised(batch.latents, noise, timesteps), timesteps)

    @cached_property
    def _kept(self) -> Pool:
        return latent_pool(self.teacher, 5, KEPT, NATIVE, 1)

    @torch.no_grad()
    def _measured(self) -> dict[str, float]:
        """Error of the averaged weights on held-back pictures, with their captions and with those of others."""
        generator = torch.Generator().manual_seed(3)
        batch = draw_batch(self._kept, len(self._kept.scenes), self.words, Random(4))
        timesteps = torch.randint(1000, (len(batch.latents),), generator=generator)
        noise = torch.randn(batch.latents.shape, generator=generator)
        results = {}
        with self.average.shown(self.networks):
            for name, chunks in (("valid", batch.chunks), ("valid_wrong", batch.chunks[1:] + batch.chunks[:1])):
                results[name] = float(F.mse_loss(self._estimate(batch, chunks, timesteps, noise), noise))
        return results


def shared_size(step: int, sizes_from: int) -> Size:
    """The native size, and later others; all workers draw the same, so that their steps last equally long."""
    shared = Random(step)
    return NATIVE if step < sizes_from or shared.random() < NATIVE_SHARE else shared.choice(OTHER_SIZES)


if __name__ == "__main__":
    main()
