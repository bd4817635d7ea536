"""The filter behind "sharpness": a 13×13 blur that stops at edges of a guide picture (sampling.md §7.2).

Takes and gives latents; knows nothing of noise levels. Written for speed, since it runs in every step: neighbours are
shifts of flat, padded planes, so every operation is a few long contiguous loops.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

RADIUS = 6
TAPS = 2 * RADIUS + 1
SIGMA_SPACE = 3.0  # of the Gaussian over distance, in latent pixels
SIGMA_COLOR = 3.0  # of the Gaussian over the summed channel difference, in standard deviations of the guide
MIN_DEVIATION = 1e-5


def joint_bilateral(x: Tensor, guide: Tensor) -> Tensor:
    """``x [B, C, h, w]`` blurred where ``guide`` (same shape) is even; float32.

    Raises:
        ValueError: a side is shorter than 7, so that its border cannot be mirrored.
    """
    if min(x.shape[-2:]) <= RADIUS:
        raise ValueError(f"latent sides must be at least {RADIUS + 1} for sharpness, got {tuple(x.shape[-2:])}")
    deviation, mean = torch.std_mean(guide, dim=(1, 2, 3), keepdim=True)
    # In these units the weight of a difference d is exp(−d²).
    colors = (guide - mean) / ((deviation + MIN_DEVIATION) * (SIGMA_COLOR * math.sqrt(2)))
    planes = _Planes.of(colors, torch.cat([x, torch.ones_like(x[:, :1])], dim=1))
    sums = planes.sums_by_offset() if x.device.type == "cpu" else planes.sums_by_row()
    sums = planes.unfolded(sums, x.shape)
    return sums[:, :-1] / sums[:, -1:]


@dataclass(frozen=True, eq=False)
class _Planes:
    """Mirrored planes laid out flat, batch after batch: pixel ``i``'s neighbour (dy, dx) is ``i + dy·stride + dx``."""

    colors: Tensor
    """``[C, n]``: what weights depend on."""
    values: Tensor
    """``[C + 1, n]``: what is summed; the last channel is 1 and collects the weights."""
    stride: int

    @classmethod
    def of(cls, colors: Tensor, values: Tensor) -> _Planes:
        return cls(_flat(colors), _flat(values), colors.shape[-1] + 2 * RADIUS)

    @property
    def span(self) -> tuple[int, int]:
        """First pixel and one past the last that lie inside the margin; those between them cover all that do."""
        margin = RADIUS * self.stride + RADIUS
        return margin, self.colors.shape[1] - margin

    def sums_by_offset(self) -> Tensor:
        """Weighted sums ``[C + 1, span]``, one neighbour at a time: stays in the processor's cache.

        A weight belongs to a pair of pixels, so it is computed once and used from both ends.
        """
        start, end = self.span
        near: list[float] = _gaussian(self.colors.device).tolist()
        sums = self.values[:, start:end] * near[RADIUS] ** 2
        for dy in range(RADIUS + 1):
            for dx in range(-RADIUS if dy else 1, RADIUS + 1):
                offset = dy * self.stride + dx
                low = start - offset
                difference = (self.colors[:, start : end + offset] - self.colors[:, low:end]).abs_().sum(0)
                weight = difference.mul_(difference).neg_().exp_()
                share = near[RADIUS + dy] * near[RADIUS + dx]
                sums.addcmul_(weight[offset:], self.values[:, start + offset : end + offset], value=share)
                sums.addcmul_(weight[:-offset], self.values[:, low : end - offset], value=share)
        return sums

    def sums_by_row(self) -> Tensor:
        """The same sums, 13 neighbours at a time: few and large operations, as an accelerator likes them."""
        start, end = self.span
        near = _gaussian(self.colors.device)
        sums = torch.zeros_like(self.values[:, start:end])
        for dy in range(-RADIUS, RADIUS + 1):
            first = start + dy * self.stride - RADIUS
            difference = (self._windows(self.colors, first) - self.colors[:, start:end]).abs_().sum(1)
            weight = difference.mul_(difference).neg_().exp_().mul_((near * near[RADIUS + dy])[:, None])
            sums += (self._windows(self.values, first) * weight[:, None]).sum(0)
        return sums

    def _windows(self, planes: Tensor, first: int) -> Tensor:
        """``[13, C, span]``: the planes from ``first``, ``first + 1``, … on."""
        start, end = self.span
        shape = (TAPS, planes.shape[0], end - start)
        return torch.as_strided(planes, shape, (1, planes.shape[1], 1), first)

    def unfolded(self, sums: Tensor, shape: torch.Size) -> Tensor:
        """Sums over the span as pictures ``[B, C + 1, h, w]``."""
        start, end = self.span
        padded = F.pad(sums, (start, self.colors.shape[1] - end))
        padded = padded.view(len(sums), shape[0], -1, self.stride)
        return padded[:, :, RADIUS:-RADIUS, RADIUS:-RADIUS].transpose(0, 1)


def _flat(pictures: Tensor) -> Tensor:
    padded = F.pad(pictures.float(), (RADIUS,) * 4, mode="reflect")
    # Contiguous: of a single picture that lies channels-last this is a view, whose pixels are not side by side.
    return padded.transpose(0, 1).reshape(pictures.shape[1], -1).contiguous()


def _gaussian(device: torch.device) -> Tensor:
    distance = torch.arange(-RADIUS, RADIUS + 1, dtype=torch.float32, device=device)
    weights = torch.exp(-(distance**2) / (2 * SIGMA_SPACE**2))
    return weights / weights.sum()
