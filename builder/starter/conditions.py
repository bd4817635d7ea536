"""What the UNet is told besides the noisy latent, and its answer, the noise it sees.

Knows neither schedules nor losses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from builder.starter.model import Chunks, Networks
from builder.starter.training import forward_precision


@dataclass(frozen=True)
class Conditions:
    """Texts and sizes of a batch."""

    context: Tensor
    """``[B, 77·k, 192]``."""
    pooled: Tensor
    """``[B, 128]``."""
    sizes: Tensor
    """``[B, 6]``."""

    @property
    def told(self) -> dict[str, Any]:
        """Under the library's names of a UNet's arguments."""
        added = {"text_embeds": self.pooled, "time_ids": self.sizes}
        return {"encoder_hidden_states": self.context, "added_cond_kwargs": added}

    def noise(self, unet: nn.Module, x: Tensor, timesteps: Tensor, **more: Any) -> Tensor:
        """The noise that ``unet`` sees in ``x [B, 4, h, w]`` of deviation 1, float32; ``timesteps [B]``.

        ``more`` are further arguments of the UNet.
        """
        with forward_precision(x.device):
            made: Tensor = unet(x, timesteps.to(x.device), **self.told, **more).sample
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


def conditions(networks: Networks, chunks: Chunks, sizes: Tensor) -> Conditions:
    """Texts as the encoders see them, and ``sizes [B, 6]``."""
    with forward_precision(sizes.device):
        context, pooled = networks.text(chunks)
    return Conditions(context, pooled, sizes)


@torch.no_grad()
def empty_text(networks: Networks) -> Conditions:
    """One row of the text without words; its sizes are not meant to be used."""
    context, pooled = networks.text([[[]]])
    return Conditions(context, pooled, torch.zeros(1, 6, device=context.device))
