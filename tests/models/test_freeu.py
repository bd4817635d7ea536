"""FreeU v2 by hooks: the recorded estimates, its identity, and no trace afterwards."""

from __future__ import annotations

import pytest
import torch

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.freeu import freeu, scaled_backbone, scaled_skip
from tests.models.one_step import TOLERANCE, error, estimates, features, tiny_model

FREEU = [record for record in features().records if record.kind == "freeu"]


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return tiny_model()


@pytest.mark.parametrize("record", FREEU, ids=lambda record: record.id)
def test_freeu_gives_the_recorded_estimates(record, model):
    s = record.settings
    with freeu(model.unet, s["b1"], s["b2"], s["s1"], s["s2"]):
        positive, negative = estimates(model, s["sigma"])
    assert error(positive, record.output("positive_x0")) < TOLERANCE
    assert error(negative, record.output("negative_x0")) < TOLERANCE


def test_factors_of_one_change_nothing_but_rounding(model):
    plain, _ = estimates(model, 3.0)
    with freeu(model.unet, 1.0, 1.0, 1.0, 1.0):
        same, _ = estimates(model, 3.0)
    assert error(same, plain) < TOLERANCE  # the Fourier transform and its inverse round


def test_each_factor_matters(model):
    plain, _ = estimates(model, 3.0)
    for factors in [(1.5, 1, 1, 1), (1, 1.5, 1, 1), (1, 1, 0.5, 1), (1, 1, 1, 0.5)]:
        with freeu(model.unet, *factors):
            changed, _ = estimates(model, 3.0)
        assert error(changed, plain) > 1e-3, factors


def test_an_error_inside_removes_every_hook(model):
    plain, _ = estimates(model, 3.0)
    with pytest.raises(RuntimeError, match="inside"), freeu(model.unet, 1.3, 1.4, 0.9, 0.2):
        raise RuntimeError("inside")
    assert not any(module._forward_pre_hooks for module in model.unet.modules())
    assert torch.equal(estimates(model, 3.0)[0], plain)


def test_only_blocks_with_two_or_four_times_the_model_channels_are_hooked(model):
    with freeu(model.unet, 1.3, 1.4, 0.9, 0.2):
        hooked = [[bool(resnet._forward_pre_hooks) for resnet in block.resnets] for block in model.unet.up_blocks]
    assert hooked == [[True] * 3, [True] * 3, [True, False, False]]  # the last two see one time the model channels


def test_only_the_first_half_of_the_backbone_grows_and_most_where_its_mean_is_highest():
    h = torch.rand(2, 4, 3, 5, generator=torch.Generator().manual_seed(0)) + 1
    gain = scaled_backbone(h, 1.4) / h
    mean = h.mean(1)
    assert torch.equal(gain[:, 2:], torch.ones_like(gain[:, 2:]))
    for sample in range(2):
        assert torch.isclose(gain[sample, 0].max(), torch.tensor(1.4))
        assert torch.isclose(gain[sample, 0].min(), torch.tensor(1.0))
        assert gain[sample, 0].argmax() == mean[sample].argmax()


def test_a_flat_backbone_stays_finite():
    assert torch.equal(scaled_backbone(torch.ones(1, 2, 3, 3), 1.5), torch.ones(1, 2, 3, 3))


@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 4)])
def test_the_mean_of_the_skip_is_scaled_and_fine_detail_is_not(size):
    skip = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
    scaled = scaled_skip(skip, 0.25)
    torch.testing.assert_close(scaled.mean(dim=(2, 3)), 0.25 * skip.mean(dim=(2, 3)))
    rows, columns = torch.meshgrid(*(torch.arange(side) for side in (8, 8)), indexing="ij")
    checkers = (-1.0) ** (rows + columns)[None, None]
    torch.testing.assert_close(scaled_skip(checkers, 0.25), checkers)


def test_half_precision_skips_keep_their_type():
    assert scaled_skip(torch.rand(1, 2, 6, 10).half(), 0.9).dtype is torch.float16
