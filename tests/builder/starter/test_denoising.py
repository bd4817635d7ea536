"""The diffusion's task: noise at a timestep, what an error weighs, and which timesteps are drawn."""

from __future__ import annotations

import pytest
import torch

from builder.starter.denoising import SIGNALS, draw_timesteps, layered_square, noised, weighted_loss


def test_noise_takes_the_place_of_the_picture_and_the_variance_stays():
    latents, noise = torch.full((2, 4, 2, 2), 1.0), torch.full((2, 4, 2, 2), 10.0)
    first, last = noised(latents, noise, torch.tensor([0, 999]))
    signal = float(SIGNALS[999])
    assert signal < 0.01 and float(SIGNALS[0]) > 0.99
    assert torch.allclose(last, torch.tensor(signal**0.5 + 10 * (1 - signal) ** 0.5))
    assert 1 < float(first.mean()) < 1.5


def test_an_error_of_the_whole_picture_counts_in_every_layer_and_one_of_single_latents_once():
    even = torch.full((1, 4, 8, 8), 0.5)
    checks = even.clone()
    checks[..., ::2, ::2] *= -1
    checks[..., 1::2, 1::2] *= -1  # averages of 4×4 are nothing
    assert layered_square(even).tolist() == pytest.approx([0.25 * (1 + 4 + 8)])
    assert layered_square(checks).tolist() == pytest.approx([0.25])


def test_weights_are_those_of_min_snr_lifted_near_noise():
    error = torch.zeros(1, 4, 8, 8)
    error[..., ::2, ::2], error[..., 1::2, 1::2] = 1.0, -1.0  # mean square 1/2, averages nothing

    def weight(timestep: int) -> float:
        return 2 * float(weighted_loss(error, torch.tensor([timestep])))

    signal = float(SIGNALS[999])
    assert weight(999) == pytest.approx(signal**-0.3, rel=1e-4)
    signal = float(SIGNALS[50])
    assert signal / (1 - signal) > 5  # where the cap holds
    assert weight(50) == pytest.approx(5 * (1 - signal) / signal * signal**-0.3, rel=1e-4)


def test_timesteps_cover_all_and_favour_the_noisy_half():
    torch.manual_seed(0)
    drawn = draw_timesteps(5000)
    assert drawn.shape == (5000,) and drawn.min() < 10 and drawn.max() > 990
    assert 0.55 < float((drawn >= 500).float().mean()) < 0.75  # 0.4·½ + 0.2·0.42 + 0.4·0.97 = 0.67
