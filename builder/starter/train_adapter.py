"""``python -m builder.starter.train_adapter``: the image-prompt adapter of the starter model, resumable at any time.

Needs ``diffusion.pt`` and ``autoencoder.pt`` of a work folder. First the vision tower learns to tell facts
(``--tower``), then all of the adapter learns by the error of the frozen UNet, whose texts leave most to the picture
(``--steps``). The last step writes the three files into the models folder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from builder.starter.adapter import Adapter, write_files
from builder.starter.checkpoints import save_whole
from builder.starter.facts import fact_rows
from builder.starter.image_samples import (
    PromptBatch,
    PromptPool,
    draw_prompt_batch,
    prompt_pixels,
    prompt_pool,
)
from builder.starter.model import Average, Networks, Words, new_tokenizer
from builder.starter.progress import Log
from builder.starter.rates import falling
from builder.starter.train import draw_timesteps, weighted_loss
from builder.starter.train_autoencoder import load_parts
from fooocus_engine.models.image_attention import Among, layer_widths, looking_at
from fooocus_engine.sampling.model_sampling import discrete_sampling

WARM_STEPS = 100
SAVE_EVERY_S = 120
USES = 4  # of each scene of a pool, before another pool is drawn
KEPT = 64  # held-back scenes
TOWER_SHARE = 0.3  # of the rate, for the tower once it knows facts
FACT_WEIGHT = 8.0  # of a fact that is there: a scene has about five of a hundred


def main() -> None:
    """Train for so many steps."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.train_adapter", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="where checkpoints and logs lie")
    parser.add_argument("--models", type=Path, default=Path("build/starter/models"), help="a models folder")
    parser.add_argument("--tower", type=int, required=True, help="steps of the vision tower alone")
    parser.add_argument("--steps", type=int, required=True, help="steps of the whole; earlier runs' count in both")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pool", type=int, default=2000, help="scenes drawn at a time")
    given = parser.parse_args()
    torch.set_num_threads(1)
    Run(given).run()


class Run:
    """A run, from its pools to the last step."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.words = Words(new_tokenizer(given.work / "tokenizer-adapter"))
        self.base = Networks(self.words.tokenizer)
        self.base.load_state_dict(torch.load(given.work / "diffusion.pt", weights_only=True)["average"])
        self.base.eval().requires_grad_(False)
        torch.manual_seed(1)
        self.adapter = Adapter(layer_widths(self.base.unet))
        self.average = Average({name: value.clone() for name, value in self.adapter.state_dict().items()})
        self.path = given.work / "adapter.pt"
        self.tower_step, self.step = 0, 0
        self.optimiser = self._new_optimiser()
        self._resume()
        self.teacher = load_parts(given.work / "autoencoder.pt")[0].teacher.eval()
        self.noise_levels = discrete_sampling().alphas_cumprod

    def _new_optimiser(self) -> torch.optim.Optimizer:
        groups = self.adapter.groups(self.given.rate, TOWER_SHARE)
        return torch.optim.AdamW(groups, lr=self.given.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)

    def _resume(self) -> None:
        if not self.path.is_file():
            return
        state = torch.load(self.path, weights_only=True)
        self.adapter.load_state_dict(state["adapter"])
        self.average.weights.update(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.tower_step, self.step = int(state["tower_step"]), int(state["step"])

    def _save(self) -> None:
        state = {"adapter": self.adapter.state_dict(), "average": self.average.weights}
        steps = {"tower_step": self.tower_step, "step": self.step}
        save_whole(self.path, **state, **steps, optimiser=self.optimiser.state_dict())

    def run(self) -> None:
        """Both stages to their last step, then the files."""
        if self.tower_step < self.given.tower or self.step < self.given.steps:
            self._train()
        self.adapter.load_state_dict(self.average.weights)
        write_files(self.adapter, self.given.models)

    def _train(self) -> None:
        seed = 1000 * (self.step + self.tower_step) + 21
        random = Random(seed)
        torch.manual_seed(seed)
        pools = Pools(self.teacher, seed, self.given.pool)
        kept = prompt_pool(self.teacher, 5, KEPT)
        if self.tower_step < self.given.tower:
            self._stage("tower", lambda: self._tower_step(pools.at_hand(self.given.batch), random), kept)
        if self.step == 0:  # the tower learned alone; what it leaves behind in the averages of moments is not ours
            self.optimiser = self._new_optimiser()
            self.average.weights.update({n: v.clone() for n, v in self.adapter.state_dict().items()})
        if self.step < self.given.steps:
            self._stage("adapter", lambda: self._whole_step(pools.at_hand(self.given.batch), random), kept)

    def _stage(self, name: str, advance: Callable[[], float], kept: PromptPool) -> None:
        log, saved = Log(self.given.work / f"{name}.csv"), time.monotonic()
        last = False
        while not last:
            loss = advance()
            step, end = (self.tower_step, self.given.tower) if name == "tower" else (self.step, self.given.steps)
            log.add(step, loss=loss)
            last = step == end
            if last or time.monotonic() - saved > SAVE_EVERY_S:
                log.add(step, **(self._told_facts(kept) if name == "tower" else self._measured(kept)))
                log.flush()
                self._save()
                saved = time.monotonic()

    def _tower_step(self, pool: PromptPool, random: Random) -> float:
        chosen = [random.randrange(len(pool.scenes)) for _ in range(self.given.batch)]
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.adapter.fact_scores(prompt_pixels(pool, chosen, random))
        loss = fact_loss(scores.float(), fact_rows([pool.scenes[index] for index in chosen]))
        for group in self.optimiser.param_groups:
            group["lr"] = self.given.rate * falling(self.tower_step, self.given.tower, WARM_STEPS)
        self._descend(loss)
        self.tower_step += 1
        return float(loss.detach())

    def _whole_step(self, pool: PromptPool, random: Random) -> float:
        batch = draw_prompt_batch(pool, self.given.batch, self.words, random)
        timesteps, noise = draw_timesteps(len(batch.latents)), torch.randn_like(batch.latents)
        loss = weighted_loss(self._estimate(batch, timesteps, noise) - noise, self.noise_levels[timesteps])
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * falling(self.step, self.given.steps, WARM_STEPS)
        self._descend(loss)
        self.step += 1
        self.average.update(self.adapter, self.step)
        return float(loss.detach())

    def _descend(self, loss: Tensor) -> None:
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.adapter.parameters(), 1.0)
        self.optimiser.step()

    def _estimate(self, batch: PromptBatch, timesteps: Tensor, noise: Tensor) -> Tensor:
        signal = self.noise_levels[timesteps][:, None, None, None]
        x = batch.latents * signal.sqrt() + noise * (1 - signal).sqrt()
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                context, pooled = self.base.text(batch.chunks)
            looked = Among(self.adapter.keys_values(batch.pixels, batch.is_negative, batch.weight))
            told = {"text_embeds": pooled, "time_ids": batch.sizes}
            with looking_at(self.base.unet, [looked]):
                made = self.base.unet(x, timesteps, encoder_hidden_states=context, added_cond_kwargs=told).sample
        return made.float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def _told_facts(self, kept: PromptPool) -> dict[str, float]:
        """Of held-back pictures: loss, and the share of facts that are told rightly."""
        rows = fact_rows(kept.scenes)
        scores = self.adapter.fact_scores(prompt_pixels(kept, range(len(kept.scenes)), Random(4)))
        right = ((scores > 0) == (rows > 0)).float()
        return {"valid": float(fact_loss(scores, rows)), "facts_right": float(right.mean())}

    @torch.no_grad()
    def _measured(self, kept: PromptPool) -> dict[str, float]:
        """Error of the averaged weights on held-back scenes without text: with their pictures, others', none."""
        count, generator = len(kept.scenes), torch.Generator().manual_seed(3)
        drawn = draw_prompt_batch(kept, count, self.words, Random(4))
        noise, timesteps = torch.randn(kept.latents.shape, generator=generator), torch.arange(count) * 1000 // count
        own = prompt_pixels(kept, range(count), Random(4))
        results = {}
        for name, pixels, negative in (("", own, False), ("_wrong", own.roll(1, 0), False), ("_none", own, True)):
            batch = PromptBatch(
                latents=kept.latents.float(),
                chunks=[[[]]] * count,
                sizes=drawn.sizes,
                pixels=pixels,
                is_negative=torch.full((count,), negative),
                weight=torch.ones(count),
            )
            with self.average.shown(self.adapter):
                results[f"valid{name}"] = float(F.mse_loss(self._estimate(batch, timesteps, noise), noise))
        return results


class Pools:
    """One pool at a time, another after so many uses."""

    def __init__(self, teacher: nn.Module, seed: int, count: int) -> None:
        self._teacher, self._seed, self._count = teacher, seed, count
        self._pool, self._left = prompt_pool(teacher, seed, count), USES * count

    def at_hand(self, uses: int) -> PromptPool:
        """The pool for the next ``uses`` samples."""
        if self._left <= 0:
            self._seed += 1
            self._pool, self._left = prompt_pool(self._teacher, self._seed, self._count), USES * self._count
        self._left -= uses
        return self._pool


def fact_loss(scores: Tensor, rows: Tensor) -> Tensor:
    """Cross-entropy of each fact by itself; ``scores`` are logits, ``rows`` 0 or 1, both ``[B, facts]``."""
    return F.binary_cross_entropy_with_logits(scores, rows, pos_weight=torch.tensor(FACT_WEIGHT))


if __name__ == "__main__":
    main()
