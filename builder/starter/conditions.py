"""What the UNet is told besides the noisy latent, and its answer, the noise it sees; for trainings on frozen networks.

Knows neither schedules nor losses.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from builder.starter.model import Networks
from builder.starter.samples import Batch


@dataclass(frozen=True)
class Conditions:
    """Texts and sizes of a batch."""

    context: Tensor
    """``[B, 77·k, 192]``."""
    pooled: Tensor
    """``[B, 128]``."""
    sizes: Tensor
    """``[B, 6]``."""

    def noise(self, unet: nn.Module, x: Tensor, timesteps: Tensor) -> Tensor:
        """The noise that ``unet`` sees in ``x [B, 4, h, w]`` of deviation 1, float32; ``timesteps [B]``."""
        told = {"text_embeds": self.pooled, "time_ids": self.sizes}
        with torch.autocast("cpu", torch.bfloat16):
            made: Tensor = unet(x, timesteps, encoder_hidden_states=self.context, added_cond_kwargs=told).sample
        return made.float()

    def without_text(self, empty: Conditions) -> Conditions:
        """The same sizes with the text of ``empty``, which is one chunk long."""
        count = len(self.context)
        chunks = self.context.shape[1] // empty.context.shape[1]
        return Conditions(empty.context.repeat(count, chunks, 1), empty.pooled.repeat(count, 1), self.sizes)

    def followed_by(self, other: Conditions) -> Conditions:
        """Both, one below the other."""
        pairs = ((self.context, other.context), (self.pooled, other.pooled), (self.sizes, other.sizes))
        return Conditions(*(torch.cat(pair) for pair in pairs))


@torch.no_grad()
def conditions(networks: Networks, batch: Batch) -> Conditions:
    """The texts of ``batch`` as the frozen encoders see them."""
    with torch.autocast("cpu", torch.bfloat16):
        context, pooled = networks.text(batch.chunks)
    return Conditions(context, pooled, batch.sizes)


@torch.no_grad()
def empty_text(networks: Networks) -> Conditions:
    """One row of the text without words; its sizes are not meant to be used."""
    context, pooled = networks.text([[[]]])
    return Conditions(context, pooled, torch.zeros(1, 6))
