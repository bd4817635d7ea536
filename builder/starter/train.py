"""``python -m builder.starter.train``: the diffusion model, UNet and text encoders together, resumable at any time.

Needs the autoencoder's teacher. Several workers average their gradients; one thread each, which is what scales here.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from random import Random

import torch
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn import functional as F

from builder.starter.checkpoints import save_whole
from builder.starter.model import NATIVE, Average, Networks, Words, new_tokenizer
from builder.starter.progress import Log
from builder.starter.samples import Batch, Pool, draw_batch, latent_pool
from builder.starter.train_autoencoder import load_parts
from fooocus_engine.sampling.model_sampling import discrete_sampling

OTHER_SIZES = ((144, 144), (240, 160), (160, 240), (240, 240), (288, 288))
SNR_CAP = 5.0  # min-SNR weighting, Hang et al. 2023 (arXiv:2303.09556)
NEAR_NOISE = (
    0.3  # lifts errors near noise, where numbers settle, to about those elsewhere (EDM2, arXiv:2312.02696 §3.1)
)
NATIVE_SHARE = 0.55  # of steps, once other sizes are mixed in
POOLED_WEIGHT, MEAN_WEIGHT = 4.0, 8.0  # of the error averaged over 4×4 latents, and over the picture
SAVE_EVERY_S = 120


def main() -> None:
    """Train for so many steps in all."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.train", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="where checkpoints and logs lie")
    parser.add_argument("--steps", type=int, required=True, help="in all, those of earlier runs included")
    parser.add_argument("--decay-from", type=int, required=True, help="step from which the rate falls to nothing")
    parser.add_argument("--sizes-from", type=int, required=True, help="step from which other sizes are mixed in")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32, help="of each worker")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--pool", type=int, default=40_000, help="pictures of the native size that a run draws")
    given = parser.parse_args()
    if given.workers == 1:
        work(0, given)
    else:
        multiprocessing.spawn(work, (given,), nprocs=given.workers)  # type: ignore[attr-defined]


def work(rank: int, given: argparse.Namespace) -> None:
    """One worker, from its pools to the last step."""
    torch.set_num_threads(1)
    if given.workers > 1:
        meeting = f"file://{(given.work / 'meeting').absolute()}"
        distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=given.workers)
    Run(rank, given).run()
    if given.workers > 1:
        distributed.destroy_process_group()


class Run:
    """A run of one worker."""

    def __init__(self, rank: int, given: argparse.Namespace) -> None:
        self.rank, self.given = rank, given
        self.words = Words(new_tokenizer(given.work / f"tokenizer{rank}"))
        torch.manual_seed(1)
        self.networks = Networks(self.words.tokenizer)
        self.optimiser = torch.optim.AdamW(
            self.networks.parameters(), lr=given.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        self.average = Average({name: value.clone() for name, value in self.networks.state_dict().items()})
        self.path = given.work / "diffusion.pt"
        self.step = self._resumed()
        self.teacher = load_parts(given.work / "autoencoder.pt")[0].teacher.eval()
        self.noise_levels = discrete_sampling().alphas_cumprod

    def _resumed(self) -> int:
        if not self.path.is_file():
            return 0
        state = torch.load(self.path, weights_only=True)
        self.networks.load_state_dict(state["networks"])
        self.average.weights.update(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        return int(state["step"])

    def _save(self) -> None:
        weights = {"networks": self.networks.state_dict(), "average": self.average.weights}
        save_whole(self.path, **weights, optimiser=self.optimiser.state_dict(), step=self.step)

    def run(self) -> None:
        """Steps until the last one."""
        if self.step >= self.given.steps:
            return
        seed = 1000 * self.step + self.rank + 11
        pools = {NATIVE: latent_pool(self.teacher, seed, self.given.pool, NATIVE, 1)}
        kept = latent_pool(self.teacher, 5, 128, NATIVE, 1)
        random = Random(seed)
        torch.manual_seed(seed)
        log = Log(self.given.work / "diffusion.csv")
        saved = time.monotonic()
        parent = os.getppid()
        while self.step < self.given.steps and os.getppid() == parent:  # an orphan would overwrite a later run's state
            size = self._draw_size(random)
            if size not in pools:
                pools[size] = latent_pool(self.teacher, seed, self.given.pool // 5, size, 1)
            loss = self._advance(draw_batch(pools[size], self._batch(size), self.words, random))
            log.add(self.step, loss=loss)
            last = self.step == self.given.steps
            if self.rank == 0 and (last or time.monotonic() - saved > SAVE_EVERY_S):
                log.add(self.step, **self._measured(kept))
                log.flush()
                self._save()
                saved = time.monotonic()

    def _draw_size(self, random: Random) -> tuple[int, int]:
        """The native size, and later others; all workers draw the same, so that their steps last equally long."""
        shared = Random(self.step)
        return (
            NATIVE
            if self.step < self.given.sizes_from or shared.random() < NATIVE_SHARE
            else shared.choice(OTHER_SIZES)
        )

    def _batch(self, size: tuple[int, int]) -> int:
        return max(8, round(self.given.batch * NATIVE[0] * NATIVE[1] / (size[0] * size[1])))

    def _rate(self) -> float:
        step, given = self.step, self.given
        warm = min(1.0, (step + 1) / 100)
        left = (given.steps - step) / max(1, given.steps - given.decay_from)
        return float(given.rate * warm * min(1.0, left))

    def _advance(self, batch: Batch) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        loss = self.loss(batch, draw_timesteps(len(batch.latents)), torch.randn_like(batch.latents))
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if self.given.workers > 1:
            average_gradients(self.networks, self.given.workers)
        nn.utils.clip_grad_norm_(self.networks.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        self.average.update(self.networks, self.step)
        return float(loss.detach())

    def loss(self, batch: Batch, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Weighted error of the noise estimate."""
        return weighted_loss(self._estimate(batch, timesteps, noise) - noise, self.noise_levels[timesteps])

    def _estimate(self, batch: Batch, timesteps: Tensor, noise: Tensor) -> Tensor:
        signal = self.noise_levels[timesteps][:, None, None, None]
        x = batch.latents * signal.sqrt() + noise * (1 - signal).sqrt()
        with torch.autocast("cpu", torch.bfloat16):
            context, pooled = self.networks.text(batch.chunks)
            told = {"text_embeds": pooled, "time_ids": batch.sizes}
            made = self.networks.unet(x, timesteps, encoder_hidden_states=context, added_cond_kwargs=told).sample
        return made.float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def _measured(self, kept: Pool) -> dict[str, float]:
        """Error of the averaged weights on held-back pictures, with their captions and with those of others."""
        generator = torch.Generator().manual_seed(3)
        batch = draw_batch(kept, len(kept.scenes), self.words, Random(4))
        timesteps = torch.randint(1000, (len(batch.latents),), generator=generator)
        noise = torch.randn(batch.latents.shape, generator=generator)
        results = {}
        with self.average.shown(self.networks):
            for name, chunks in (("valid", batch.chunks), ("valid_wrong", batch.chunks[1:] + batch.chunks[:1])):
                made = self._estimate(Batch(batch.latents, chunks, batch.sizes), timesteps, noise)
                results[name] = float(F.mse_loss(made, noise))
        return results


def weighted_loss(error: Tensor, signal: Tensor) -> Tensor:
    """``layered_square`` of the noise estimate's ``error [B, 4, h, w]``, by each sample's share of ``signal [B]``."""
    weight = (SNR_CAP * (1 - signal) / signal).clamp(max=1) * signal**-NEAR_NOISE
    return (weight * layered_square(error)).mean()


def layered_square(error: Tensor) -> Tensor:
    """Mean square of ``error [B, 4, h, w]``, of its averages over 4×4 latents and of its mean, added up: ``[B]``."""
    coarse = F.avg_pool2d(error, 4).square().mean((1, 2, 3))
    mean = error.mean((2, 3)).square().mean(1)
    return error.square().mean((1, 2, 3)) + POOLED_WEIGHT * coarse + MEAN_WEIGHT * mean


def draw_timesteps(count: int) -> Tensor:
    """Two of five even, one about the middle, where shapes settle, two near noise, where places and numbers do."""
    middle, early = count // 5, 2 * count // 5
    drawn = (
        torch.rand(count - middle - early),
        torch.sigmoid(torch.randn(middle) - 0.2),
        torch.sigmoid(0.8 * torch.randn(early) + 1.5),
    )
    return (torch.cat(drawn) * 1000).long().clamp(max=999)


def average_gradients(module: nn.Module, workers: int) -> None:
    """The mean of all workers' gradients, in place."""
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    for gradient, part in zip(gradients, flat.div_(workers).split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


if __name__ == "__main__":
    main()
