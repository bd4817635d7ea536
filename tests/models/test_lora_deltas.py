"""Formulas of LoRA-type files against element-wise sums written out from models.md §6.3."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fooocus_engine.models import lora_deltas as kinds
from fooocus_engine.models.lora_deltas import Delta

EXACT = {"rtol": 1e-5, "atol": 1e-6}  # float32, sums of a few products in another order


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def added(formula: kinds.Formula, weight: Tensor, alpha: float | None = None, **tensors: Tensor) -> Tensor:
    return Delta(formula, tensors, alpha).added(weight, 0.5) - weight


def test_low_rank_is_up_times_down_scaled_by_alpha_over_rank():
    weight, up, down = torch.zeros(4, 3), random(4, 2), random(2, 3)
    torch.testing.assert_close(added(kinds.low_rank, weight, 3.0, up=up, down=down), 0.5 * 3 / 2 * up @ down, **EXACT)


def test_without_alpha_the_strength_alone_scales():
    weight, up, down = torch.zeros(4, 3), random(4, 2), random(2, 3)
    torch.testing.assert_close(added(kinds.low_rank, weight, up=up, down=down), 0.5 * up @ down, **EXACT)


def test_low_rank_of_a_convolution_mixes_channels_per_tap():
    weight, up, down = torch.zeros(4, 3, 3, 3), random(4, 2, 1, 1), random(2, 3, 3, 3)
    expected = 0.5 * torch.einsum("or,rikl->oikl", up[..., 0, 0], down)
    torch.testing.assert_close(added(kinds.low_rank, weight, up=up, down=down), expected, **EXACT)


def test_a_middle_convolution_sits_between_down_and_up():
    weight, up, down, mid = torch.zeros(4, 3, 3, 3), random(4, 2, 1, 1), random(2, 3, 1, 1), random(2, 2, 3, 3)
    image = random(1, 3, 8, 8)
    chained = torch.nn.functional.conv2d(torch.nn.functional.conv2d(image, down), mid)
    chained = torch.nn.functional.conv2d(chained, up)
    merged = added(kinds.low_rank, weight, up=up, down=down, mid=mid) / 0.5
    torch.testing.assert_close(torch.nn.functional.conv2d(image, merged), chained, rtol=1e-4, atol=1e-5)


def test_hadamard_multiplies_two_low_rank_matrices():
    weight = torch.zeros(4, 3)
    t = {"w1_a": random(4, 2), "w1_b": random(2, 3), "w2_a": random(4, 2) + 1, "w2_b": random(2, 3) + 1}
    expected = 0.5 * 4 / 2 * (t["w1_a"] @ t["w1_b"]) * (t["w2_a"] @ t["w2_b"])
    torch.testing.assert_close(added(kinds.hadamard, weight, 4.0, **t), expected, **EXACT)


def test_tucker_hadamard_is_the_written_sum():
    weight = torch.zeros(4, 3, 2, 2)
    t = {"t1": random(2, 2, 2, 2), "w1_a": random(2, 4), "w1_b": random(2, 3)}
    t |= {"t2": random(2, 2, 2, 2) + 1, "w2_a": random(2, 4) + 1, "w2_b": random(2, 3) + 1}
    expected = torch.zeros_like(weight)
    for p in range(4):
        for r in range(3):
            factors = [
                sum(t[f"t{n}"][i, j] * t[f"w{n}_b"][j, r] * t[f"w{n}_a"][i, p] for i in range(2) for j in range(2))
                for n in (1, 2)
            ]
            expected[p, r] = factors[0] * factors[1]
    torch.testing.assert_close(added(kinds.hadamard, weight, **t), 0.5 * expected, **EXACT)


W1, W1_A, W1_B = random(2, 3), random(2, 2), random(2, 3)
W2, W2_A, W2_B = random(4, 5), random(4, 3), random(3, 5)


@pytest.mark.parametrize(
    ("tensors", "factors", "rank"),
    [
        ({"w1": W1, "w2": W2}, (W1, W2), None),
        ({"w1_a": W1_A, "w1_b": W1_B, "w2": W2}, (W1_A @ W1_B, W2), 2),
        ({"w1": W1, "w2_a": W2_A, "w2_b": W2_B}, (W1, W2_A @ W2_B), 3),
        ({"w1_a": W1_A, "w1_b": W1_B, "w2_a": W2_A, "w2_b": W2_B}, (W1_A @ W1_B, W2_A @ W2_B), 3),
    ],
)
def test_kronecker_scales_by_the_last_product_only(tensors, factors, rank):
    weight = torch.zeros(8, 15)
    scale = 0.5 * (6.0 / rank if rank else 1)
    expected = scale * torch.stack([torch.cat([v * factors[1] for v in row], 1) for row in factors[0]]).reshape(8, 15)
    torch.testing.assert_close(added(kinds.kronecker, weight, 6.0, **tensors), expected, **EXACT)


def test_kronecker_of_a_convolution_keeps_the_kernel_with_the_second_factor():
    weight, w1, w2 = torch.zeros(4, 9, 3, 3), random(2, 3), random(2, 3, 3, 3)
    change = added(kinds.kronecker, weight, w1=w1, w2=w2)
    torch.testing.assert_close(change[2:4, 3:6], 0.5 * w1[1, 1] * w2, **EXACT)


def test_kronecker_with_a_tucker_core_is_the_written_sum():
    weight = torch.zeros(8, 15, 3, 3)
    core, a, b = random(2, 3, 3, 3), random(2, 4), random(3, 5)
    w2 = torch.einsum("ijkl,jr,ip->prkl", core, b, a)
    expected = 0.5 * 6.0 / 3 * torch.kron(W1[..., None, None], w2.contiguous())
    torch.testing.assert_close(added(kinds.kronecker, weight, 6.0, w1=W1, t2=core, w2_a=a, w2_b=b), expected, **EXACT)


def test_generalised_lora_depends_on_the_weight():
    weight = random(4, 3)
    t = {"a1": random(2, 3), "a2": random(3, 2), "b1": random(2, 3) + 1, "b2": random(4, 2)}
    expected = 0.5 * 3.0 / 2 * (t["b2"] @ t["b1"] + weight @ t["a2"] @ t["a1"])
    torch.testing.assert_close(added(kinds.generalised, weight, 3.0, **t), expected, **EXACT)


def test_a_quantised_difference_runs_from_low_to_high():
    levels = torch.tensor([[0, 255], [51, 102]], dtype=torch.uint8)
    change = added(kinds.quantised, torch.zeros(2, 2), levels=levels, low=torch.tensor(-1.0), high=torch.tensor(4.0))
    torch.testing.assert_close(change, 0.5 * torch.tensor([[-1.0, 4.0], [0.0, 1.0]]), **EXACT)


def test_half_precision_files_are_computed_in_float32():
    up, down = random(4, 2).bfloat16(), random(2, 3).half()
    change = added(kinds.low_rank, torch.zeros(4, 3), up=up, down=down)
    torch.testing.assert_close(change, 0.5 * up.float() @ down.float(), **EXACT)


@pytest.mark.parametrize(
    ("formula", "tensors", "fits"),
    [
        (kinds.full, {"diff": torch.zeros(4, 3)}, True),
        (kinds.full, {"diff": torch.zeros(3, 4)}, False),
        (kinds.low_rank, {"up": torch.zeros(4, 2), "down": torch.zeros(2, 3)}, True),
        (kinds.low_rank, {"up": torch.zeros(4, 2), "down": torch.zeros(1, 3)}, False),
        (kinds.low_rank, {"up": torch.zeros(4, 2), "down": torch.zeros(2, 5)}, False),
        (kinds.low_rank, {"up": torch.zeros(4), "down": torch.zeros(2, 3)}, False),
        (kinds.low_rank, {"up": torch.zeros(4, 0), "down": torch.zeros(0, 3)}, False),
        (kinds.low_rank, {"up": torch.tensor(1.0), "down": torch.tensor(1.0)}, False),
        (kinds.quantised, {"levels": torch.zeros(3), "low": torch.zeros(()), "high": torch.zeros(())}, False),
        (kinds.quantised, {"levels": torch.zeros(4, 3), "low": torch.zeros(()), "high": torch.zeros(1)}, True),
        (kinds.quantised, {"levels": torch.zeros(4, 3), "low": torch.zeros(4, 1), "high": torch.zeros(())}, True),
        (kinds.kronecker, {"w1": torch.zeros(2, 3), "w2": torch.zeros(2, 1)}, True),
        (kinds.kronecker, {"w1": torch.zeros(2, 3), "w2": torch.zeros(2, 2)}, False),
    ],
)
def test_fits_says_whether_the_change_can_be_added(formula, tensors, fits):
    assert Delta(formula, tensors, 1.0).fits(torch.Size([4, 3])) is fits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("shape", [(1700, 900), (3, 2, 3, 3), (5,), (0, 4), (1, 1_200_000)])
@pytest.mark.parametrize("strength", [1.0, 0.7])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_quantised_difference_in_blocks_is_the_same_sum(shape, dtype, strength, layout):
    weight = random(*shape).to(dtype)
    if len(shape) == 4:
        weight = weight.to(memory_format=layout)
    levels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    delta = Delta(kinds.quantised, {"levels": levels, "low": torch.tensor([-0.3]), "high": torch.tensor(0.7)})
    right = delta.added(weight.float(), strength).to(dtype)
    before, beside = weight.clone(), torch.empty_like(weight)
    assert delta.goes_by_blocks(weight.shape)
    kinds.plus_quantised(weight, delta.tensors, strength, beside)
    assert torch.equal(beside, right) and torch.equal(weight, before)
    kinds.plus_quantised(weight, delta.tensors, strength, weight)
    assert torch.equal(weight, right)


def test_only_single_ends_and_equal_shapes_go_by_blocks():
    levels, end = torch.zeros(4, 3, dtype=torch.uint8), torch.tensor(0.0)
    rows = torch.zeros(4, 1)
    assert not Delta(kinds.quantised, {"levels": levels, "low": rows, "high": end}).goes_by_blocks(torch.Size((4, 3)))
    assert not Delta(kinds.quantised, {"levels": levels, "low": end, "high": end}).goes_by_blocks(torch.Size((12,)))
    assert not Delta(kinds.full, {"diff": torch.zeros(4, 3)}).goes_by_blocks(torch.Size((4, 3)))
