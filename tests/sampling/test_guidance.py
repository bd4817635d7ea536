from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fooocus_engine.sampling.guidance import Guidance, guided, needs_negative
from fooocus_engine.sampling.settings import GuidanceSettings
from fooocus_engine.sampling.unet_denoiser import Estimates
from tests.golden.compare import tensor_error
from tests.models.tiny import group

PLAIN = GuidanceSettings(cfg=4.0, sharpness=0.0, adaptive_cfg=7.0)


def pair(progress: float = 0.5) -> tuple[torch.Tensor, Estimates]:
    generator = torch.Generator().manual_seed(0)
    x, positive, negative = torch.randn((3, 1, 4, 8, 8), generator=generator).unbind()
    return x, Estimates(positive, negative, progress)


@pytest.mark.parametrize("number", range(8))
def test_the_mix_is_that_of_the_reference(number: int):
    record = group("C_guidance").record(f"guidance/{number}")
    asked = record.settings
    settings = GuidanceSettings(
        cfg=asked["cfg_scale"], sharpness=asked["sharpness"], adaptive_cfg=asked["adaptive_cfg"]
    )
    x = record.input("x")
    x0 = guided(x, Estimates(record.input("positive_x0"), record.input("negative_x0"), asked["progress"]), settings)
    assert tensor_error(x0, record.output("x0"), absolute=1e-5, relative=1e-5) <= 1
    eps = (x - x0) / float(record.input("sigma"))
    assert tensor_error(eps, record.output("eps_record"), absolute=1e-5, relative=1e-5) <= 1


def test_a_scale_of_one_is_the_positive_estimate_untouched():
    x, estimates = pair()
    settings = GuidanceSettings(cfg=1.0, sharpness=30.0, adaptive_cfg=0.5)
    assert guided(x, estimates, settings) is estimates.positive
    assert not needs_negative(1.0)
    assert not needs_negative(1.0 + 1e-10)
    assert needs_negative(1.0001)


def test_the_scale_extrapolates_from_negative_to_positive():
    x, estimates = pair()
    expected = estimates.negative + 4.0 * (estimates.positive - estimates.negative)
    assert torch.allclose(guided(x, estimates, PLAIN), expected, atol=1e-5)


def test_two_equal_estimates_are_the_answer_at_any_scale():
    x, estimates = pair()
    same = replace(estimates, negative=estimates.positive)
    assert torch.allclose(guided(x, same, replace(PLAIN, cfg=30.0, adaptive_cfg=2.0)), same.positive, atol=1e-6)


@pytest.mark.parametrize(("progress", "scale"), [(0.0, 7.0), (1.0, 15.0), (0.25, 9.0)])
def test_a_high_scale_grows_from_the_adaptive_one_with_progress(progress: float, scale: float):
    x, estimates = pair(progress)
    adaptive = guided(x, estimates, replace(PLAIN, cfg=15.0, adaptive_cfg=7.0))
    assert torch.allclose(adaptive, guided(x, estimates, replace(PLAIN, cfg=scale, adaptive_cfg=99.0)), atol=1e-4)


def test_sharpness_does_nothing_while_there_is_only_noise():
    x, estimates = pair(progress=0.0)
    assert torch.equal(guided(x, estimates, replace(PLAIN, sharpness=30.0)), guided(x, estimates, PLAIN))


def test_sharpness_changes_the_picture_later():
    x, estimates = pair(progress=0.9)
    assert not torch.equal(guided(x, estimates, replace(PLAIN, sharpness=30.0)), guided(x, estimates, PLAIN))


def test_guidance_asks_the_inner_denoiser_once():
    x, estimates = pair()
    calls: list[float] = []

    def inner(x, sigma):
        calls.append(sigma)
        return estimates

    assert torch.equal(Guidance(inner, PLAIN)(x, 3.0), guided(x, estimates, PLAIN))
    assert calls == [3.0]
