"""All random numbers of a latent: the noise it starts from, the noise of single steps, and a Brownian path over sigma.

Everything follows from the image's seed; no global generator is read or advanced. Knows no sampler.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable

import torch
from numpy.random import SeedSequence
from torch import Tensor

DECIMALS = 6  # sigmas closer than this are one point of a Brownian path (sampling.md §5.2)
SEED_POOL = 24
KEPT_SEEDS = 2**63 - 1  # the noise of known pixels starts its seeds anew from here (sampling.md §9)
KEPT_SPLITS = 64  # more than the two root-to-leaf paths that neighbouring queries share
Shape = tuple[int, ...]


class ImageNoise:
    """Noise of one image: one generator on the CPU, and on other devices one more there for the steps (§5.3)."""

    def __init__(self, seed: int, shape: Shape, device: torch.device, brownian: BrownianTree) -> None:
        self._shape, self._device, self._brownian = shape, device, brownian
        self._start = torch.Generator().manual_seed(seed)
        self._steps = self._start if device.type == "cpu" else torch.Generator(device).manual_seed(seed)

    def start(self) -> Tensor:
        """What sampling starts from; the same on every device. Draw it once, before any step."""
        return torch.randn(self._shape, generator=self._start).to(self._device)

    def step(self) -> Tensor:
        """Fresh unit noise for one step, drawn on the device."""
        return torch.randn(self._shape, generator=self._steps, device=self._device)

    def between(self, sigma: float, sigma_next: float) -> Tensor:
        """Unit noise that belongs to the way from one sigma to another; overlapping ways share noise."""
        return self._brownian.between(sigma, sigma_next)


def known_noise(seed: int, shape: Shape, device: torch.device) -> Callable[[], Tensor]:
    """Fresh unit noise at every call, for the pixels that are kept in one run of the solver with that seed (§9)."""
    generator = torch.Generator().manual_seed((seed + 1) % KEPT_SEEDS)
    return lambda: torch.randn(shape, generator=generator).to(device)


class BrownianTree:
    """A Brownian path over sigma that can be queried in any order (sampling.md §5.2: torchsde's tree, same numbers).

    The path is refined by halving intervals; the noise of each half follows from the seed and its place in the tree.
    """

    def __init__(self, seed: int, shape: Shape, device: torch.device, sigma_range: tuple[float, float]) -> None:
        self._seed, self._shape, self._device = seed, shape, device
        self._low, self._high = sigma_range
        self._generator = torch.Generator(device)
        self._splits: OrderedDict[tuple[int, int], tuple[Tensor, Tensor]] = OrderedDict()
        self._root: Tensor | None = None

    def between(self, sigma: float, sigma_next: float) -> Tensor:
        """Increment from ``sigma`` to ``sigma_next``, scaled to unit variance; outside its range the path stands still.

        Raises:
            ZeroDivisionError: the two are equal.
        """
        low, high = sorted((sigma, sigma_next))
        scale = math.copysign(1 / math.sqrt(high - low), sigma_next - sigma)
        return self._increment(self._clamped(low), self._clamped(high)) * scale

    def _clamped(self, sigma: float) -> float:
        return round(min(max(sigma, self._low), self._high), DECIMALS)

    def _increment(self, low: float, high: float) -> Tensor:
        total = torch.zeros(self._shape, device=self._device)
        if self._root is None:
            seed = SeedSequence(entropy=self._seed, pool_size=SEED_POOL).generate_state(3)[0]
            self._root = self._draw(int(seed)) * math.sqrt(self._high - self._low)
        start, end = round(self._low, DECIMALS), round(self._high, DECIMALS)
        nodes = [(start, end, 0, 0, self._root)]
        while nodes:
            start, end, key, depth, increment = nodes.pop()
            if high <= start or end <= low:
                continue
            if low <= start and end <= high:
                total += increment
                continue
            middle = round((start + end) / 2, DECIMALS)
            left, right = self._split(start, end, key=key, depth=depth, increment=increment)
            nodes.append((middle, end, 2 * key + 1, depth + 1, right))
            nodes.append((start, middle, 2 * key, depth + 1, left))
        return total

    def _split(self, start: float, end: float, *, key: int, depth: int, increment: Tensor) -> tuple[Tensor, Tensor]:
        if (halves := self._splits.get((key, depth))) is None:
            middle = round((start + end) / 2, DECIMALS)
            sequence = SeedSequence(entropy=self._seed, spawn_key=(key, depth), pool_size=SEED_POOL)
            share = (middle - start) / (end - start)
            deviation = math.sqrt((middle - start) * (end - middle) / (end - start))
            left = (increment * share).add_(self._draw(int(sequence.generate_state(4)[0])), alpha=deviation)
            halves = self._splits[key, depth] = (left, increment - left)
            if len(self._splits) > KEPT_SPLITS:
                self._splits.popitem(last=False)
        self._splits.move_to_end((key, depth))
        return halves

    def _draw(self, seed: int) -> Tensor:
        return torch.randn(self._shape, generator=self._generator.manual_seed(seed), device=self._device)
