"""The inpaint head on the tiny model: recorded feature and estimates, no trace afterwards, files that do not fit."""

from __future__ import annotations

import pytest
import torch

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.models.catalogue import INPAINT_HEAD
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.inpaint_patch import InpaintHead, head_added
from tests.models.one_step import PATCHES, TOLERANCE, error, estimates, features, tiny_model

CPU = torch.device("cpu")
SIGMA = 3.0


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return tiny_model()


@pytest.fixture(scope="module")
def head() -> InpaintHead:
    return InpaintHead.load(PATCHES / INPAINT_HEAD, CPU)


def recorded():
    return features().record("inpaint_head")


def test_the_feature_is_the_recorded_one(head, model):
    record = recorded()
    feature = head.feature(record.input("mask"), record.input("latent") * model.latent_scale)
    assert error(feature, record.output("head_feature")) < TOLERANCE


def test_mask_and_latent_may_lie_on_different_devices():
    mask, latent = torch.zeros(1, 1, 4, 6), torch.zeros(1, 4, 4, 6, device="meta")  # a mask is made on the CPU
    assert InpaintHead(torch.zeros(8, 5, 3, 3, device="meta")).feature(mask, latent).shape == (1, 8, 4, 6)


def test_estimates_with_the_feature_are_the_recorded_ones(model):
    record = recorded()
    with head_added(model.unet, record.output("head_feature")):
        positive, negative = estimates(model, record.settings["sigma"])
    assert error(positive, record.output("positive_x0")) < TOLERANCE
    assert error(negative, record.output("negative_x0")) < TOLERANCE


def test_a_feature_of_zeros_changes_nothing_and_any_other_does(model):
    plain, _ = estimates(model, SIGMA)
    feature = recorded().output("head_feature")
    for factor, same in ((0.0, True), (1.0, False)):
        with head_added(model.unet, feature * factor):
            assert torch.equal(estimates(model, SIGMA)[0], plain) is same


def test_an_error_inside_leaves_no_trace(model):
    plain, _ = estimates(model, SIGMA)
    with pytest.raises(RuntimeError, match="inside"), head_added(model.unet, recorded().output("head_feature")):
        raise RuntimeError("inside")
    assert not any(module._forward_hooks for module in model.unet.modules())
    assert torch.equal(estimates(model, SIGMA)[0], plain)


def test_the_border_is_repeated(head):
    """So a feature of constant input is constant."""
    mask, latent = torch.ones(1, 1, 4, 5), torch.full((1, 4, 4, 5), 0.7)
    feature = head.feature(mask, latent)
    torch.testing.assert_close(feature, feature[..., :1, :1].expand_as(feature), rtol=1e-5, atol=1e-6)


def test_a_head_for_another_model_is_refused(model):
    with pytest.raises(BadModelFile, match="48 channels"), head_added(model.unet, torch.zeros(1, 48, 4, 4)):
        pass
    assert not model.unet.conv_in._forward_hooks


@pytest.mark.parametrize(("content", "seen"), [({"tail": torch.zeros(3)}, "lacks it"), ({"head": torch.zeros(3)}, "3")])
def test_a_file_without_a_head_is_refused_by_name(content, seen, tmp_path):
    path = tmp_path / INPAINT_HEAD
    torch.save(content, path)
    with pytest.raises(BadModelFile, match=seen) as caught:
        InpaintHead.load(path, CPU)
    assert INPAINT_HEAD in caught.value.message and str(tmp_path) not in caught.value.message


def test_a_missing_file_is_unavailable(tmp_path):
    with pytest.raises(ModelUnavailable, match=INPAINT_HEAD):
        InpaintHead.load(tmp_path / INPAINT_HEAD, CPU)
