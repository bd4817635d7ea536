"""What the upscaler is worth: PSNR over plain resampling on held-out pictures, through the engine's own class."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

import numpy as np
from PIL import Image

from builder.starter.drawing import picture
from builder.starter.world import held_out_scene
from fooocus_engine.models.upscaler import SCALE, Upscaler

LOW_SIZES = ((64, 64), (96, 96), (128, 128), (192, 128), (192, 192))
"""Sizes before enlarging; they take turns."""


class Pair(NamedTuple):
    """A picture and what it must look like enlarged."""

    low: Image.Image
    truth: Image.Image


def held_out_pairs(count: int, seed: int) -> list[Pair]:
    """Renders of scenes that training leaves out, with their reductions to a quarter."""
    random = Random(seed)
    pairs = []
    for index in range(count):
        width, height = LOW_SIZES[index % len(LOW_SIZES)]
        truth = picture(held_out_scene(random), (SCALE * width, SCALE * height), random)
        pairs.append(Pair(truth.reduce(SCALE), truth))
    return pairs


def gain(upscaler: Upscaler, pairs: Sequence[Pair]) -> float:
    """Mean PSNR in dB over ``pairs``, less that of Lanczos resampling."""
    gains = []
    for low, truth in pairs:
        plain = low.resize(truth.size, Image.Resampling.LANCZOS)
        gains.append(psnr(upscaler.enlarge(low), truth) - psnr(plain, truth))
    return float(np.mean(gains))


def psnr(made: Image.Image, truth: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB of a picture that differs from ``truth``."""
    error = np.asarray(made, np.float32) - np.asarray(truth, np.float32)
    return float(10 * np.log10(255**2 / np.square(error).mean()))
