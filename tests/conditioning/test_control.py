"""Control images: what their residuals are scaled by, and how a hint is brought to size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

from fooocus_engine.conditioning.control import ImageControl, controlled, fitted, image_control, scales
from fooocus_engine.conditioning.encode import for_refiner
from fooocus_engine.models.control_lora import ControlNetwork
from fooocus_engine.types import Conditioning, UNetCall
from tests.models.tiny import tiny_model

CALL = UNetCall(torch.zeros(2, 4, 6, 8), torch.zeros(2), torch.zeros(2, 77, 8), None)


@dataclass
class FakeModule:
    """Answers ones, and remembers what it was told."""

    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, x, timesteps, **told):
        self.calls.append({"x": x, "timesteps": timesteps, **told})
        return [torch.ones(2, 1, 1, 1) for _ in range(9)], torch.ones(2, 1, 1, 1)


def network() -> ControlNetwork:
    return ControlNetwork(FakeModule(), {"input_hint_block.0.weight": torch.nn.Parameter(torch.zeros(16, 3, 3, 3))})


def control(weight: float = 1.0, stop: float = 0.5, softness: float = 0.25, side: int = 8) -> ImageControl:
    image = np.arange(6 * side * 8 * side, dtype=np.uint8).reshape(6 * side, 8 * side)
    return image_control(network(), image, weight=weight, stop=stop, softness=softness)


def test_a_quarter_of_softness_gives_the_written_factors():
    expected = [0.75, 0.7778, 0.8056, 0.8333, 0.8611, 0.8889, 0.9167, 0.9444, 0.9722, 1]  # image-control.md §3
    assert scales(10, 1.0, 0.25) == pytest.approx(expected, abs=5e-5)


def test_without_softness_only_the_weight_counts():
    assert scales(7, 0.6, 0.0) == [0.6] * 7


def test_the_middle_is_never_softened_and_full_softness_silences_the_finest():
    factors = scales(7, 2.0, 1.0)
    assert (factors[0], factors[-1]) == (0.0, 2.0)
    assert factors == sorted(factors)


def test_residuals_are_scaled_in_running_order():
    found = control(weight=0.5).residuals(CALL)
    values = [float(skip[0]) for skip in found.skips] + [float(found.middle[0])]
    assert values == pytest.approx(scales(10, 0.5, 0.25))


def test_a_single_plane_is_told_to_every_channel_as_shares_of_255():
    hint = control().hint
    assert hint.shape == (1, 3, 48, 64)
    assert torch.equal(hint[:, 0], hint[:, 2])
    assert hint[0, 1, 0, 51] == torch.tensor(51 / 255)


def test_the_network_is_told_what_the_unet_is_told():
    told = control()
    told.residuals(CALL)
    (call,) = told.network.module.calls
    assert call["x"] is CALL.x
    assert call["timesteps"] is CALL.timesteps
    assert call["encoder_hidden_states"] is CALL.cross_attention
    assert call["controlnet_cond"].shape == (1, 3, 48, 64)


def test_a_hint_of_another_size_is_told_in_the_calls_size():
    told = control(side=4)
    told.residuals(CALL)
    assert told.network.module.calls[0]["controlnet_cond"].shape == (1, 3, 48, 64)


def test_a_hint_of_the_right_size_is_left_as_it_is():
    hint = torch.rand(1, 3, 8, 16)
    assert fitted(hint, 8, 16) is hint


def test_a_wide_hint_loses_both_sides_and_a_tall_one_both_ends():
    columns = torch.arange(8.0).expand(1, 1, 4, 8)
    assert fitted(columns, 4, 4)[0, 0, 0].tolist() == [2, 3, 4, 5]
    rows = torch.arange(8.0)[:, None].expand(1, 1, 8, 4)
    assert fitted(rows, 4, 4)[0, 0, :, 0].tolist() == [2, 3, 4, 5]


def test_resizing_takes_the_nearest_values_from_their_middles():
    hint = torch.arange(6.0).expand(1, 1, 2, 6)
    assert fitted(hint, 1, 3)[0, 0, 0].tolist() == [1, 3, 5]  # nearest-exact: pixel centres at 1, 3, 5


def test_controls_of_weight_zero_are_not_attached_and_the_others_keep_their_order():
    bare = Conditioning(torch.zeros(1, 77, 8))
    first, silent, second = control(0.5), control(0.0), control(2.0)
    assert controlled(bare, [first, silent, second]).controls == (first, second)
    assert bare.controls == ()


@pytest.mark.parametrize("family", ["sdxl", "sdxl_refiner", "sd15"])
def test_a_refiner_takes_no_controls(family):
    model, row = tiny_model(), torch.zeros(1, 6)
    refiner = replace(model, family=family)
    width = model.text.clip_l.width if family == "sd15" else 128
    told = controlled(Conditioning(torch.zeros(1, 77, width), torch.zeros(1, 64), row, row, 0.3), [control()])
    assert for_refiner(told, (64, 64), model, refiner, positive=True).controls == ()
