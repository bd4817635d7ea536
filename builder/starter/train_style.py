"""``python -m builder.starter.train_style``: a LoRA under which the starter model draws outlines, resumable.

Captions stay as they are: no word asks for the style.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from builder.starter.conditions import Conditions
from builder.starter.lora_run import LoraRun, add_arguments
from builder.starter.train import draw_timesteps, weighted_loss
from fooocus_engine.sampling.model_sampling import discrete_sampling

FILE = "starter_outline_style.safetensors"


def main() -> None:
    """Train for so many steps in all."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.train_style", description=__doc__)
    add_arguments(parser)
    run = LoraRun(parser.parse_args(), FILE, style="outline")
    signals = discrete_sampling().alphas_cumprod

    def loss(latents: Tensor, conditions: Conditions) -> Tensor:
        """As in the training of the model itself."""
        timesteps = draw_timesteps(len(latents))
        signal = signals[timesteps]
        shares = signal[:, None, None, None]
        noise = torch.randn_like(latents)
        seen = conditions.noise(run.unet, latents * shares.sqrt() + noise * (1 - shares).sqrt(), timesteps)
        return weighted_loss(seen - noise, signal)

    run.run(loss)


if __name__ == "__main__":
    main()
