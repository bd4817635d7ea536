"""``python -m builder.starter.train_autoencoder STAGE``: teacher, decoder, joint, polish, encoder, one after another.

Stages: ``teacher`` (linear encoder and decoder together), ``decoder`` (teacher frozen), ``joint`` (the teacher's
correction and the decoder end to end), ``polish`` (the decoder on latents as uncertain as painted ones), ``encoder``
(the teacher's latents by regression).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from builder.starter.autoencoder import (
    LATENT_NOISE,
    PAINTED_NOISE,
    Teacher,
    decode,
    encode,
    new_autoencoder,
    picture_loss,
)
from builder.starter.model import NATIVE
from builder.starter.pictures import crops, draw_pool, to_tensor
from builder.starter.training import Course, State, cosine, run, work_parser

SIZES = ((192, 192), (192, 192), (144, 144), (128, 128), (240, 160), (160, 240), (256, 256))
RATES = {"teacher": 3e-3, "decoder": 2.5e-3, "joint": 1e-3, "polish": 1.5e-3, "encoder": 2e-3}
KEPT = 64  # held-back pictures
ANCHOR_WEIGHT = 0.05  # of the squared distance to the linear latents: smooth ones are easy to learn by a diffusion


@dataclass(frozen=True)
class Parts:
    """What is trained."""

    teacher: Teacher
    vae: Any

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Both, live, as ``load_parts`` wants them in a file."""
        return {"teacher": self.teacher.state_dict(), "vae": self.vae.state_dict()}


def new_parts() -> Parts:
    """Untrained."""
    return Parts(Teacher(), new_autoencoder())


def load_parts(path: Path) -> Parts:
    """The parts as last saved.

    Raises:
        FileNotFoundError: nothing was saved there.
    """
    parts = new_parts()
    state = torch.load(path, weights_only=True)
    parts.teacher.load_state_dict(state["teacher"])
    parts.vae.load_state_dict(state["vae"])
    return parts


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = work_parser("train_autoencoder", __doc__)
    made.add_argument("stage", choices=list(RATES))
    made.add_argument("--steps", type=int, required=True)
    made.add_argument("--batch", type=int, default=16)
    made.add_argument("--side", type=int, default=64, help="pixels of a training crop")
    made.add_argument("--pool", type=int, default=6000)
    return made


def main() -> None:
    """Train one stage for so many steps."""
    torch.set_num_threads(1)
    train(parser().parse_args())


def train(given: argparse.Namespace) -> None:
    """One stage to its last step."""
    torch.manual_seed(1)
    parts, stage = new_parts(), given.stage
    optimiser = torch.optim.AdamW(trainable(parts, stage), lr=RATES[stage], betas=(0.9, 0.99), weight_decay=0.01)
    state = State(given.work / "autoencoder.pt", parts.tensors(), optimiser, stage=stage)
    seed = state.seed(13)
    random = Random(seed)

    @cache
    def pool() -> list[np.ndarray]:
        filled, outlined = draw_pool(7, given.pool, SIZES), draw_pool(9, given.pool // 4, SIZES, style="outline")
        return [drawn for _, drawn in (*filled, *outlined)]  # outlines for the style LoRA

    @cache
    def kept() -> list[np.ndarray]:
        return [drawn for _, drawn in draw_pool(8, KEPT, (NATIVE,), processes=1)]

    course = Course(
        loss=lambda: stage_loss(parts, crops(pool(), given.batch, given.side, random), stage, state.step),
        rate=partial(cosine, warm=50, least=0.02),
        measured=lambda: measured(parts, kept()),
        seed=seed,
    )
    run(state, given.steps, course)


def trainable(parts: Parts, stage: str) -> list[nn.Parameter]:
    """Parameters that the stage moves."""
    decoder = [*parts.vae.decoder.parameters(), *parts.vae.post_quant_conv.parameters()]
    match stage:
        case "teacher":
            return [*parts.teacher.conv.parameters(), *decoder]
        case "decoder" | "polish":
            return decoder
        case "joint":
            return [*parts.teacher.correction.parameters(), *decoder]
        case _:
            return [*parts.vae.encoder.parameters(), *parts.vae.quant_conv.parameters()]


def stage_loss(parts: Parts, image: Tensor, stage: str, step: int) -> Tensor:
    """Loss of a batch of crops ``[B, 3, s, s]``."""
    if stage == "teacher":
        parts.teacher.renormalise(image, momentum=max(0.02, 1 / (step + 1)))
    with torch.autocast("cpu", torch.bfloat16), torch.set_grad_enabled(stage in ("teacher", "joint")):
        linear = parts.teacher.linear(image).float()
        latent = linear if stage == "teacher" else parts.teacher(image).float()
    with torch.autocast("cpu", torch.bfloat16):
        if stage == "encoder":
            return F.mse_loss(encode(parts.vae, image).float(), latent)
        made = decode(parts.vae, latent + latent_noise(stage, len(latent)) * torch.randn_like(latent))
    loss = picture_loss(made.float(), image)
    return loss + ANCHOR_WEIGHT * F.mse_loss(latent, linear.detach()) if stage == "joint" else loss


def latent_noise(stage: str, count: int) -> Tensor:
    """The deviations ``[count, 1, 1, 1]`` of the noise on a batch's latents, drawn for each picture once they stand."""
    return PAINTED_NOISE * torch.rand(count, 1, 1, 1) if stage == "polish" else torch.tensor(LATENT_NOISE)


@torch.no_grad()
def measured(parts: Parts, kept: list[np.ndarray]) -> dict[str, float]:
    """Mean PSNR in dB over whole held-back pictures: through the teacher, and through the real encoder."""
    image = to_tensor(kept)
    results = {}
    for name, latent in (("psnr_teacher", parts.teacher(image)), ("psnr_encoder", encode(parts.vae, image))):
        made = torch.cat([decode(parts.vae, part) for part in latent.split(8)]).clamp(-1, 1)
        error = ((made - image) / 2).square().mean((1, 2, 3))
        results[name] = float((-10 * error.log10()).mean())
    return results


if __name__ == "__main__":
    main()
