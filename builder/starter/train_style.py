"""``python -m builder.starter.train_style``: a LoRA under which the starter model draws outlines, resumable.

Captions stay as they are: no word asks for the style.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from builder.starter.conditions import Conditions
from builder.starter.denoising import draw_timesteps, noised, weighted_loss
from builder.starter.lora_run import LoraRun, lora_parser

FILE = "starter_outline_style.safetensors"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    return lora_parser("train_style", __doc__)


def main() -> None:
    """Train for so many steps in all."""
    run = LoraRun(parser().parse_args(), FILE, style="outline")

    def loss(latents: Tensor, conditions: Conditions) -> Tensor:
        """As in the training of the model itself."""
        timesteps, noise = draw_timesteps(len(latents)), torch.randn_like(latents)
        seen = conditions.noise(run.unet, noised(latents, noise, timesteps), timesteps)
        return weighted_loss(seen - noise, timesteps)

    run.run(loss)


if __name__ == "__main__":
    main()
