"""``python -m builder.starter.train_autoencoder STAGE``: teacher, decoder, joint, encoder, one after another.

Stages: ``teacher`` (linear encoder and decoder together), ``decoder`` (teacher frozen), ``joint`` (the teacher's
correction and the decoder end to end), ``encoder`` (the teacher's latents by regression).
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from builder.starter.autoencoder import LATENT_NOISE, Teacher, decode, encode, new_autoencoder, picture_loss
from builder.starter.checkpoints import save_whole
from builder.starter.model import NATIVE
from builder.starter.pictures import crops, draw_pool, to_tensor
from builder.starter.progress import Log

SIZES = ((192, 192), (192, 192), (144, 144), (128, 128), (240, 160), (160, 240), (256, 256))
RATES = {"teacher": 3e-3, "decoder": 2.5e-3, "joint": 1e-3, "encoder": 2e-3}
ANCHOR_WEIGHT = 0.05  # of the squared distance to the linear latents: smooth ones are easy to learn by a diffusion


@dataclass
class Parts:
    """What is trained."""

    teacher: Teacher
    vae: Any

    def save(self, path: Path, **more: Any) -> None:
        """Write both, and what else a resumed run needs; never half a file."""
        save_whole(path, teacher=self.teacher.state_dict(), vae=self.vae.state_dict(), **more)


def new_parts() -> Parts:
    """Untrained."""
    return Parts(Teacher(), new_autoencoder())


def load_parts(path: Path) -> tuple[Parts, dict[str, Any]]:
    """The parts as last saved, and what was saved with them.

    Raises:
        FileNotFoundError: nothing was saved there.
    """
    parts = new_parts()
    state = torch.load(path, weights_only=True)
    parts.teacher.load_state_dict(state["teacher"])
    parts.vae.load_state_dict(state["vae"])
    return parts, state


def main() -> None:
    """Train one stage for so many steps."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.train_autoencoder", description=__doc__)
    parser.add_argument("stage", choices=list(RATES))
    parser.add_argument("--work", type=Path, default=Path("build/starter"), help="where checkpoints and logs lie")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=64, help="pixels of a training crop")
    parser.add_argument("--pool", type=int, default=6000)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    given.work.mkdir(parents=True, exist_ok=True)
    train(given)


def train(given: argparse.Namespace) -> None:
    """The loop: crops, loss, step, now and then a checkpoint and a measurement."""
    path = given.work / "autoencoder.pt"
    parts, state = load_parts(path) if path.is_file() else (new_parts(), {})
    done = int(state.get(f"{given.stage}_step", 0))
    if done >= given.steps:
        return
    learned = trainable(parts, given.stage)
    optimiser = torch.optim.AdamW(learned, lr=RATES[given.stage], betas=(0.9, 0.99), weight_decay=0.01)
    if f"{given.stage}_optimiser" in state:
        optimiser.load_state_dict(state[f"{given.stage}_optimiser"])
    pool = [drawn for _, drawn in draw_pool(7, given.pool, SIZES)]
    pool += [drawn for _, drawn in draw_pool(9, given.pool // 4, SIZES, style="outline")]  # for the style LoRA
    kept = [drawn for _, drawn in draw_pool(8, 64, (NATIVE,), processes=1)]
    random = Random(1000 + done)
    log = Log(given.work / f"autoencoder-{given.stage}.csv")
    saved = time.monotonic()
    for step in range(done, given.steps):
        for group in optimiser.param_groups:
            group["lr"] = rate(given.stage, step, given.steps)
        loss = stage_loss(parts, crops(pool, given.batch, given.side, random), given.stage, step)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()
        log.add(step, loss=float(loss.detach()))
        last = step + 1 == given.steps
        if last or time.monotonic() - saved > 90:
            log.add(step, **measured(parts, kept))
            log.flush()
            steps = {name: value for name, value in state.items() if name.endswith("_step")}  # of the other stages
            steps[f"{given.stage}_step"] = step + 1
            parts.save(path, **steps, **{f"{given.stage}_optimiser": optimiser.state_dict()})
            saved = time.monotonic()


def trainable(parts: Parts, stage: str) -> list[nn.Parameter]:
    """Parameters that the stage moves."""
    decoder = [*parts.vae.decoder.parameters(), *parts.vae.post_quant_conv.parameters()]
    match stage:
        case "teacher":
            return [*parts.teacher.conv.parameters(), *decoder]
        case "decoder":
            return decoder
        case "joint":
            return [*parts.teacher.correction.parameters(), *decoder]
        case _:
            return [*parts.vae.encoder.parameters(), *parts.vae.quant_conv.parameters()]


def rate(stage: str, step: int, steps: int) -> float:
    """Learning rate: a short rise, then half a cosine."""
    warm = min(1.0, (step + 1) / 50)
    return warm * RATES[stage] * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


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
        made = decode(parts.vae, latent + LATENT_NOISE * torch.randn_like(latent))
    loss = picture_loss(made.float(), image)
    return loss + ANCHOR_WEIGHT * F.mse_loss(latent, linear.detach()) if stage == "joint" else loss


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
