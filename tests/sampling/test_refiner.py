from __future__ import annotations

import pytest
import torch

from fooocus_engine.sampling.refiner import Method, NoiseMemory, RefinerSwitch, recentred, refiner_method
from fooocus_engine.sampling.settings import RefinerSwap, SamplingSettings
from fooocus_engine.sampling.unet_denoiser import Estimates
from fooocus_engine.types import Step

X = torch.zeros(1, 4, 2, 2)


def method(family: str | None, *, swap: RefinerSwap = RefinerSwap.JOINT, denoise: float = 1.0, switch: int = 20):
    return refiner_method(SamplingSettings(steps=30, switch=switch, denoise=denoise, swap=swap), family)


@pytest.mark.parametrize("family", ["sdxl", "sdxl_refiner"])
def test_a_refiner_that_shares_latents_runs_as_asked(family: str):
    expected = {
        RefinerSwap.JOINT: Method.JOINT,
        RefinerSwap.SEPARATE: Method.SEPARATE,
        RefinerSwap.VAE: Method.VAE,
    }
    assert {swap: method(family, swap=swap) for swap in RefinerSwap} == expected


def test_without_a_refiner_only_a_joint_run_is_single():
    assert method(None) is Method.BASE
    assert method(None, swap=RefinerSwap.SEPARATE) is Method.SEPARATE


@pytest.mark.parametrize("swap", RefinerSwap)
def test_a_refiner_with_latents_of_its_own_ignores_what_was_asked(swap: RefinerSwap):
    assert method("sd15", swap=swap) is Method.VAE


@pytest.mark.parametrize(
    ("denoise", "switch", "expected"),
    [
        (0.91, 20, Method.VAE),
        (0.9, 20, Method.BASE),
        (0.41, 20, Method.BASE),  # (10/30)^0.834 = 0.400
        (0.39, 20, Method.REFINER),
        (0.1, 30, Method.BASE),
        (0.1, 40, Method.BASE),
        (0.9, 0, Method.REFINER),
    ],
)
def test_a_light_repaint_is_left_to_one_of_two_unlike_models(denoise: float, switch: int, expected: Method):
    assert method("sd15", denoise=denoise, switch=switch) is expected


def named(name: float):
    return lambda x, sigma: Estimates(x + name, None, 0.0)


@pytest.mark.parametrize("at", [0, 2, 5])
def test_the_refiner_takes_over_at_the_callback_of_the_switch_step(at: int):
    switch = RefinerSwitch(named(1.0), named(2.0), at)
    seen = []
    for index in range(5):
        seen.append(float(switch(X, 1.0).positive[0, 0, 0, 0]))
        switch.on_step(Step(index, 5, X, X))
    assert seen == [1.0] * min(at + 1, 5) + [2.0] * max(4 - at, 0)


def test_a_second_evaluation_of_the_switch_step_is_the_refiners():
    switch = RefinerSwitch(named(1.0), named(2.0), 0)
    switch.on_step(Step(0, 5, X, X))
    assert float(switch(X, 0.5).positive[0, 0, 0, 0]) == 2.0


def test_the_noise_seen_last_is_remembered():
    memory = NoiseMemory(lambda x, sigma: x - 3 * sigma)
    memory(X, 5.0)
    x0 = memory(X + 1, 2.0)
    assert torch.equal(x0, X - 5)
    assert torch.equal(memory.last, torch.full_like(X, 3.0))


def test_recentred_noise_has_the_channel_mean_of_the_noise_seen():
    noise, seen = torch.randn((2, 1, 4, 8, 8), generator=torch.Generator().manual_seed(0)).unbind()
    found = recentred(noise, seen)
    assert torch.allclose(found.mean(dim=1), seen.mean(dim=1), atol=1e-6)
    assert torch.allclose(found - found.mean(dim=1, keepdim=True), noise - noise.mean(dim=1, keepdim=True), atol=1e-6)
    assert recentred(noise, None) is noise
