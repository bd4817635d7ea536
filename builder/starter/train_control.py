"""``python -m builder.starter.train_control``: a control-LoRA for edges upon the finished base, resumable at any time.

The base of the models folder stays frozen; through the engine's own control network learn the hint encoder, the
factors, the norms and biases, and the 1×1 convolutions. Every save also writes the file into the models folder.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from random import Random

import cv2
import torch
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from builder.starter import export
from builder.starter.checkpoints import save_whole
from builder.starter.control_start import untrained
from builder.starter.edge_pool import EdgePool, edge_pool
from builder.starter.model import NATIVE, Words, text_states
from builder.starter.progress import Log
from builder.starter.rates import falling
from builder.starter.samples import Batch, batch_of
from builder.starter.train import OTHER_SIZES
from builder.starter.train_autoencoder import load_parts
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.models.control_lora import MARKER, ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.store import ModelStore
from fooocus_engine.models.text_encoders import ClipEncoder
from fooocus_engine.sampling.model_sampling import discrete_sampling
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice

FILE = "control-lora-canny-rank128.safetensors"  # the published name; the rank is read from the tensors
FOLDER = "controlnet"
NATIVE_SHARE = 0.7  # of steps; the others show other sizes
EARLY_SHARE = 0.75  # of timesteps in the noisy half, where a control speaks by default
WARM_STEPS = 100
SAVE_EVERY_S = 120


def main() -> None:
    """Train for so many steps in all."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.train_control", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="where checkpoints and logs lie")
    parser.add_argument("--models", type=Path, default=Path("build/starter/models"), help="a models folder")
    parser.add_argument("--model", default=export.NAME, help="the base, a checkpoint in it")
    parser.add_argument("--steps", type=int, required=True, help="in all, those of earlier runs included")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--pool", type=int, default=6_000, help="pictures of the native size that a run draws")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    Run(given).run()


class Lesson:
    """The frozen base, the control network upon it, and what its noise estimates lack."""

    def __init__(self, base: DiffusionModel, control: ControlNetwork) -> None:
        assert base.text is not None
        assert base.text.clip_l is not None
        assert base.text.clip_g is not None
        self.control = control
        self.words = Words(base.text.clip_l.tokenizer)
        self._unet = base.unet
        self._encoders: tuple[ClipEncoder, ...] = (base.text.clip_l, base.text.clip_g)
        self._signals = discrete_sampling().alphas_cumprod
        # The fused kernel's backward pass in bfloat16 is slower on the processor than plain products of matrices.
        for network in (base.unet, control.module):
            network.set_attn_processor(AttnProcessor())
        # The hint encoder sees whole pictures and takes most of a step; in this order of memory it takes half as long.
        hints = control.module.controlnet_cond_embedding.to(memory_format=torch.channels_last)
        hints.register_forward_hook(lambda module, inputs, output: output.contiguous())

    def loss(self, batch: Batch, hints: Tensor, timesteps: Tensor, noise: Tensor) -> Tensor:
        """Squared error of the noise, weighed by √(1 + σ²): halfway between noise and velocity prediction.

        The noise alone would hardly weigh what edges tell best, where things are, as that is settled at high noise.
        """
        signal = self._signals[timesteps]
        error = (self.estimate(batch, hints, timesteps, noise) - noise).square().mean((1, 2, 3))
        return (error * signal.rsqrt()).mean()

    def estimate(self, batch: Batch, hints: Tensor | None, timesteps: Tensor, noise: Tensor) -> Tensor:
        """The noise that the steered UNet sees; without ``hints`` the base alone."""
        signal = self._signals[timesteps][:, None, None, None]
        x = batch.latents * signal.sqrt() + noise * (1 - signal).sqrt()
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                context, pooled = text_states(self._encoders, batch.chunks)
            added = {"text_embeds": pooled, "time_ids": batch.sizes}
            told = {"encoder_hidden_states": context, "added_cond_kwargs": added, "return_dict": False}
            steered = {}
            if hints is not None:
                shown = hints.contiguous(memory_format=torch.channels_last)
                skips, middle = self.control.module(x, timesteps, controlnet_cond=shown, **told)
                steered = {"down_block_additional_residuals": skips, "mid_block_additional_residual": middle}
            made = self._unet(x, timesteps, **told, **steered)[0]
        return made.float()  # type: ignore[no-any-return]


class Run:
    """One run, from its pools to the last step."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.path = given.work / "control.pt"
        torch.manual_seed(1)
        base = loaded(given.models, given.model)
        state = torch.load(self.path, weights_only=True) if self.path.is_file() else {"step": 0}
        tensors = state["tensors"] if "tensors" in state else untrained(base, given.rank)
        control = ControlNetwork.upon(base, ControlLora(FILE, tensors))
        self.lesson = Lesson(base, control)
        self.learned = [parameter.requires_grad_() for parameter in control.own.values()]
        self.optimiser = torch.optim.AdamW(
            self.learned, lr=given.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True
        )
        if "optimiser" in state:
            self.optimiser.load_state_dict(state["optimiser"])
        self.step = int(state["step"])

    def run(self) -> None:
        """Steps until the last one."""
        if self.step >= self.given.steps:
            return
        seed = 1000 * self.step + 17
        teacher = load_parts(self.given.work / "autoencoder.pt")[0].teacher
        pools = {NATIVE: edge_pool(teacher, seed, self.given.pool, NATIVE)}
        kept = edge_pool(teacher, 6, 64, NATIVE)
        random = Random(seed)
        torch.manual_seed(seed)
        log = Log(self.given.work / "control.csv")
        saved = time.monotonic()
        while self.step < self.given.steps:
            size = NATIVE if random.random() < NATIVE_SHARE else random.choice(OTHER_SIZES)
            if size not in pools:
                pools[size] = edge_pool(teacher, seed, self.given.pool // 10, size)
            log.add(self.step, loss=self._advance(pools[size], random))
            last = self.step == self.given.steps
            if last or time.monotonic() - saved > SAVE_EVERY_S:
                log.add(self.step, **measured(self.lesson, kept))
                log.flush()
                self._save()
                saved = time.monotonic()

    def _advance(self, pool: EdgePool, random: Random) -> float:
        width, height = pool.pool.size
        count = max(4, round(self.given.batch * NATIVE[0] * NATIVE[1] / (width * height)))
        chosen = [random.randrange(len(pool.edges)) for _ in range(count)]
        batch = batch_of(pool.pool, chosen, self.lesson.words, random)
        for group in self.optimiser.param_groups:
            group["lr"] = self.given.rate * falling(self.step, self.given.steps, WARM_STEPS)
        noise = torch.randn_like(batch.latents)
        loss = self.lesson.loss(batch, pool.hints(chosen), draw_timesteps(count), noise)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.learned, 1.0)
        self.optimiser.step()
        self.step += 1
        return float(loss.detach())

    def _save(self) -> None:
        tensors = {key: value.detach() for key, value in self.lesson.control.own.items()}
        write_file(tensors, self.given.models / FOLDER)  # first: what is done has its file
        save_whole(self.path, tensors=tensors, optimiser=self.optimiser.state_dict(), step=self.step)


def loaded(models: Path, name: str) -> DiffusionModel:
    """The checkpoint of this name, in float32 on the processor."""
    store = ModelStore(Settings(models_dir=models, device="cpu"), Catalogue(models))
    with store.prepared(ModelChoice(name)) as prepared:
        return prepared.base


def draw_timesteps(count: int) -> Tensor:
    """Most of them in the noisy half."""
    return torch.where(
        torch.rand(count) < EARLY_SHARE, torch.randint(500, 1000, (count,)), torch.randint(1000, (count,))
    )


@torch.no_grad()
def measured(lesson: Lesson, kept: EdgePool) -> dict[str, float]:
    """Error of the noise on held-back pictures in the noisy half: with their edges, with those of others, without."""
    generator = torch.Generator().manual_seed(3)
    numbers = range(len(kept.edges))
    batch = batch_of(kept.pool, numbers, lesson.words, Random(4))
    timesteps = torch.randint(500, 1000, (len(numbers),), generator=generator)
    noise = torch.randn(batch.latents.shape, generator=generator)
    hints = kept.hints(numbers)
    told = {"valid": hints, "valid_wrong": hints.roll(1, 0), "valid_none": None}
    return {
        name: float(F.mse_loss(lesson.estimate(batch, each, timesteps, noise), noise)) for name, each in told.items()
    }


def write_file(tensors: dict[str, Tensor], folder: Path) -> None:
    """The published form: float16, with the marker."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {key: value.half().contiguous() for key, value in tensors.items()}
    part = folder / f"{FILE}.part"
    save_file({**halves, MARKER: torch.zeros(0, dtype=torch.float16)}, part)
    part.replace(folder / FILE)


if __name__ == "__main__":
    main()
