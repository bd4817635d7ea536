from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from fooocus_engine.sampling.sharpness import _Planes, joint_bilateral
from tests.golden.compare import tensor_error
from tests.models.tiny import group


def plain_filter(x: Tensor, guide: Tensor) -> Tensor:
    """The formula of sampling.md §7.2, offset by offset."""
    deviation, mean = torch.std_mean(guide, dim=(1, 2, 3), keepdim=True)
    guide = (guide - mean) / (deviation + 1e-5)
    height, width = x.shape[-2:]
    xs, guides = (F.pad(plane, (6,) * 4, mode="reflect") for plane in (x, guide))
    taps = torch.exp(-(torch.arange(-6, 7.0) ** 2) / 18)
    taps = taps / taps.sum()
    above, below = torch.zeros_like(x), torch.zeros_like(x)
    for i in range(13):
        for j in range(13):
            window = (..., slice(i, i + height), slice(j, j + width))
            difference = (guides[window] - guide).abs().sum(1, keepdim=True)
            weight = torch.exp(-(difference**2) / 18) * taps[i] * taps[j]
            above, below = above + weight * xs[window], below + weight
    return above / below


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("number", range(3))
def test_the_filter_is_that_of_the_reference(number: int):
    record = group("C_guidance").record(f"filter/{number}")
    filtered = joint_bilateral(record.input("x"), record.input("guide"))
    assert tensor_error(filtered, record.output("y"), absolute=1e-5, relative=1e-5) <= 1


def test_the_filter_is_that_of_the_specification():
    c, i, j = torch.meshgrid(torch.arange(4.0), torch.arange(16.0), torch.arange(16.0), indexing="ij")
    x, guide = torch.sin(0.1 * (17 * c + 3 * i + j))[None], torch.cos(0.05 * (37 * c + 5 * i + 3 * j))[None]
    y = joint_bilateral(x, guide)  # sampling.md §7.2
    assert float(y[0, 0, 0, 0]) == pytest.approx(0.5889350771903992, abs=1e-6)
    assert float(y[0, 1, 5, 7]) == pytest.approx(-0.577075719833374, abs=1e-6)
    assert float(y[0, 3, 15, 15]) == pytest.approx(-0.8079850673675537, abs=1e-6)
    assert float(y.sum()) == pytest.approx(16.078336715698242, abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 4, 7, 7), (1, 4, 7, 30), (3, 4, 20, 9), (2, 1, 33, 17)])
def test_both_ways_to_sum_follow_the_formula(shape: tuple[int, ...]):
    x, guide = random(*shape), random(*shape, seed=1)
    expected = plain_filter(x, guide)
    assert torch.allclose(joint_bilateral(x, guide), expected, atol=1e-5)
    planes = planes_of(x, guide)
    assert torch.allclose(planes.sums_by_row(), planes.sums_by_offset(), atol=1e-5)


def test_both_ways_take_pictures_whose_channels_lie_last():
    x, guide = random(1, 4, 20, 16), random(1, 4, 20, 16, seed=1)
    planes, expected = planes_of(*(t.to(memory_format=torch.channels_last) for t in (x, guide))), planes_of(x, guide)
    assert torch.allclose(planes.sums_by_row(), expected.sums_by_row(), atol=1e-5)
    assert torch.allclose(planes.sums_by_offset(), expected.sums_by_offset(), atol=1e-5)


def planes_of(x: Tensor, guide: Tensor) -> _Planes:
    deviation, mean = torch.std_mean(guide, dim=(1, 2, 3), keepdim=True)
    colors = (guide - mean) / ((deviation + 1e-5) * 18**0.5)
    return _Planes.of(colors, torch.cat([x, torch.ones_like(x[:, :1])], dim=1))


def test_even_pictures_stay_as_they_are():
    even = torch.full((1, 4, 8, 8), 0.3)
    assert torch.allclose(joint_bilateral(even, even), even)


def test_a_strong_edge_of_the_guide_is_not_blurred_over():
    x = torch.zeros(1, 4, 16, 64)
    x[..., 32:] = 1
    guide = torch.zeros(1, 4, 16, 64)
    guide[..., 32:] = 1
    assert torch.allclose(joint_bilateral(x, guide), x, atol=0.05)
    assert not torch.allclose(joint_bilateral(x, torch.zeros_like(x)), x, atol=0.2)


def test_inputs_are_left_alone():
    x, guide = random(1, 4, 9, 9), random(1, 4, 9, 9, seed=1)
    joint_bilateral(x, guide)
    assert torch.equal(x, random(1, 4, 9, 9))
    assert torch.equal(guide, random(1, 4, 9, 9, seed=1))


def test_latents_too_small_to_mirror_are_refused():
    with pytest.raises(ValueError, match="7"):
        joint_bilateral(torch.zeros(1, 4, 6, 20), torch.zeros(1, 4, 6, 20))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_filters_as_the_cpu_does():
    x, guide = random(1, 4, 40, 24), random(1, 4, 40, 24, seed=1)
    assert torch.allclose(joint_bilateral(x.cuda(), guide.cuda()).cpu(), joint_bilateral(x, guide), atol=1e-5)
