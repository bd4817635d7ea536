"""The measure of an upscaler, and the shipped one by it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from builder.starter.upscaling import LOW_SIZES, gain, held_out_pairs, psnr
from fooocus_engine.models.catalogue import EMBEDDED, UPSCALERS
from fooocus_engine.models.store import UPSCALER_FILE
from fooocus_engine.models.upscaler import Upscaler

SHIPPED = EMBEDDED / UPSCALERS / UPSCALER_FILE
MOST_BYTES = 2_000_000


class Resampling(nn.Module):
    """Enlarges without weights."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.interpolate(x, scale_factor=4, mode=self.mode)


def resampling(mode: str) -> Upscaler:
    return Upscaler(Resampling(mode), torch.device("cpu"), torch.float32)


def test_pairs_take_turns_in_size_and_repeat_with_their_seed():
    pairs = held_out_pairs(6, seed=3)
    assert [pair.low.size for pair in pairs] == [*LOW_SIZES, LOW_SIZES[0]]
    assert all(pair.truth.size == (4 * pair.low.width, 4 * pair.low.height) for pair in pairs)
    assert pairs == held_out_pairs(6, seed=3) != held_out_pairs(6, seed=4)


def test_psnr_of_a_known_difference():
    # one level in every value: 10 log10(255²) = 48.13 dB
    black, dark = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), (1, 1, 1))
    assert psnr(black, dark) == pytest.approx(20 * math.log10(255))


def test_repetition_is_worse_than_lanczos_and_bicubic_about_equal():
    pairs = held_out_pairs(3, seed=5)
    assert gain(resampling("nearest"), pairs) < -1
    assert abs(gain(resampling("bicubic"), pairs)) < 0.5


def test_the_shipped_upscaler_beats_lanczos_by_a_decibel():
    shipped = Upscaler.load(SHIPPED, torch.device("cpu"), torch.float32)
    assert gain(shipped, held_out_pairs(5, seed=77)) >= 1


def test_the_shipped_upscaler_is_small_and_in_half_precision():
    assert SHIPPED.stat().st_size <= MOST_BYTES
    weights = torch.load(SHIPPED, weights_only=True)
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    assert any("residual_block_1" in name for name in weights)


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (200, 40, 90), (128, 128, 128), (20, 90, 70)])
def test_the_shipped_upscaler_keeps_a_plain_colour(colour):
    upscaler = Upscaler.load(SHIPPED, torch.device("cpu"), torch.float32)
    made = np.asarray(upscaler.enlarge(Image.new("RGB", (80, 80), colour)), int)
    error = np.abs(made - colour).max(-1)
    assert error[100:220, 100:220].max() <= 1
    assert (error > 2).mean() <= 0.001  # the corners: convolutions see black beyond a border
