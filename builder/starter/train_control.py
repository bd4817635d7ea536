"""``python -m builder.starter.train_control``: a control-LoRA for edges upon the finished base, resumable at any time.

The base of the models folder stays frozen; through the engine's own control network learn the hint encoder, the
factors, the norms and biases, and the 1×1 convolutions. Every save also writes the file into the models folder.
"""

from __future__ import annotations

import argparse
from functools import cache, partial
from pathlib import Path
from random import Random

import cv2
import torch
from diffusers.models.attention_processor import AttnProcessor
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from builder.starter.autoencoder import load_teacher
from builder.starter.base import companion_parser, encoders_of, loaded, moved
from builder.starter.conditions import Conditions
from builder.starter.control_start import untrained
from builder.starter.denoising import SIGNALS, noised
from builder.starter.edge_pool import EdgePool, edge_pool
from builder.starter.model import NATIVE, Words, text_states
from builder.starter.pictures import Size
from builder.starter.samples import Batch, batch_of, count_at, mixed_size
from builder.starter.training import Course, State, falling, fingerprint, forward_precision, run, write_whole
from fooocus_engine.models.catalogue import CANNY_LORA, CONTROLNET
from fooocus_engine.models.control_lora import MARKER, ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel

FILE = CANNY_LORA  # the published name; the rank is read from the tensors
RANK = 16  # keeps the file under 2 MB
EARLY_SHARE = 0.75  # of timesteps in the noisy half, where a control speaks by default
WARM_STEPS = 100
KEPT = 64  # held-back pictures


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = companion_parser("train_control", __doc__)
    made.add_argument("--steps", type=int, required=True, help="in all, those of earlier runs included")
    made.add_argument("--rate", type=float, default=1e-3)
    made.add_argument("--batch", type=int, default=32)
    made.add_argument("--pool", type=int, default=6_000, help="pictures of the native size that a run draws")
    return made


def main() -> None:
    """Train for so many steps in all."""
    given = parser().parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    Run(given).run()


class Lesson:
    """The frozen base, the control network upon it, and what its noise estimates lack."""

    def __init__(self, base: DiffusionModel, control: ControlNetwork) -> None:
        self.control = control
        self._unet = base.unet
        self._encoders = encoders_of(base)
        self.words = Words(self._encoders[0].tokenizer)
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
        error = (self.estimate(batch, hints, timesteps, noise) - noise).square().mean((1, 2, 3))
        return (error * SIGNALS[timesteps].rsqrt().to(error.device)).mean()

    def estimate(self, batch: Batch, hints: Tensor | None, timesteps: Tensor, noise: Tensor) -> Tensor:
        """The noise that the steered UNet sees; without ``hints`` the base alone."""
        x = noised(batch.latents, noise, timesteps)
        with forward_precision(x.device):
            with torch.no_grad():
                asked = Conditions(*text_states(self._encoders, batch.chunks), batch.sizes)
            steered = {}
            if hints is not None:
                shown = hints.contiguous(memory_format=torch.channels_last)
                skips, middle = self.control.module(
                    x, timesteps.to(x.device), controlnet_cond=shown, return_dict=False, **asked.told
                )
                steered = {"down_block_additional_residuals": skips, "mid_block_additional_residual": middle}
            return asked.noise(self._unet, x, timesteps, **steered)


class Run:
    """One run, from its pools to the last step."""

    def __init__(self, given: argparse.Namespace) -> None:
        """Where the work folder's training stands.

        Raises:
            StaleState: it was learned upon another base.
        """
        self.given = given
        torch.manual_seed(1)
        base, teacher = loaded(given.models), load_teacher(given.work)
        mark = fingerprint(*(network.state_dict() for network in (base.unet, *encoders_of(base), teacher)))
        base, self.teacher = moved(base, given.device), teacher.to(given.device)
        fresh = {key: tensor.to(given.device) for key, tensor in untrained(base, RANK).items()}
        self.lesson = Lesson(base, ControlNetwork.upon(base, ControlLora(FILE, fresh)))
        own = self.lesson.control.own
        learned = [parameter.requires_grad_() for parameter in own.values()]
        optimiser = torch.optim.AdamW(learned, lr=given.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self.tensors = {key: parameter.detach() for key, parameter in own.items()}
        self.state = State(given.work / "control.pt", {"tensors": self.tensors}, optimiser, base=mark)

    def run(self) -> None:
        """Steps until the last one."""
        given, seed = self.given, self.state.seed(17)
        random = Random(seed)

        @cache
        def pool(size: Size) -> EdgePool:
            return self._drawn(seed, given.pool if size == NATIVE else given.pool // 10, size)

        @cache
        def kept() -> EdgePool:
            return self._drawn(6, KEPT, NATIVE)

        def loss() -> Tensor:
            size = mixed_size(random)
            count = count_at(size, given.batch)
            chosen = [random.randrange(len(pool(size).edges)) for _ in range(count)]
            batch = batch_of(pool(size).pool, chosen, self.lesson.words, random)
            noise = torch.randn_like(batch.latents)
            return self.lesson.loss(batch, pool(size).hints(chosen), draw_timesteps(count), noise)

        course = Course(
            loss=loss,
            rate=partial(falling, warm=WARM_STEPS),
            measured=lambda: measured(self.lesson, kept()),
            seed=seed,
            write=lambda: write_file(self.tensors, given.models / CONTROLNET),
        )
        run(self.state, given.steps, course)

    def _drawn(self, seed: int, count: int, size: Size) -> EdgePool:
        return edge_pool(
            lambda images: self.teacher(images.to(self.given.device)), seed, count, size, self.given.painters
        )


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
    noise = torch.randn(batch.latents.shape, generator=generator).to(batch.latents.device)
    hints = kept.hints(numbers)
    told = {"valid": hints, "valid_wrong": hints.roll(1, 0), "valid_none": None}
    return {
        name: float(F.mse_loss(lesson.estimate(batch, each, timesteps, noise), noise)) for name, each in told.items()
    }


def write_file(tensors: dict[str, Tensor], folder: Path) -> None:
    """The published form: float16, with the marker."""
    halves = {key: value.half().contiguous() for key, value in tensors.items()}
    marked = {**halves, MARKER: torch.zeros(0, dtype=torch.float16)}
    write_whole(folder / FILE, lambda path: save_file(marked, path))


if __name__ == "__main__":
    main()
