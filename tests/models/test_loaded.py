"""A checkpoint with files merged into it and its twin with an inpaint patch: what they share, and what each leaves."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.loaded import Files, Loaded
from fooocus_engine.models.lora import modules
from fooocus_engine.models.store import version_of
from tests.models.one_step import LORAS, PATCHES, estimates, features, tiny_model

State = dict[tuple[str, str], Tensor]
LORA: Files = ((version_of(LORAS / "tiny_kohya.safetensors"), 0.6),)
PATCH: Files = ((version_of(PATCHES / "inpaint_v25.fooocus.patch"), 1.0),)
OTHER_PATCH: Files = ((version_of(PATCHES / "inpaint_v26.fooocus.patch"), 1.0),)
MERGED = {"rtol": 1e-6, "atol": 1e-6}  # records/README.md


def state(model: DiffusionModel) -> State:
    parts = modules(model).items()
    return {(part, name): p.detach().clone() for part, module in parts for name, p in module.named_parameters()}


def same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return tiny_model()


@pytest.fixture
def loaded(model: DiffusionModel):
    pristine = state(model)
    loaded = Loaded(model)
    yield loaded
    loaded.merge(())
    assert same(state(model), pristine)


def test_patched_weights_over_a_lora_are_the_recorded_ones(loaded):
    record = features().record("merge/patch_v25_and_lora")
    loaded.merge(LORA)
    unet = dict(loaded.patched(PATCH).model.unet.named_parameters())
    for output, key in record.settings["merged_keys"].items():
        weight = unet[loaded.model.unet_names[key.removeprefix("diffusion_model.")]]
        torch.testing.assert_close(weight, record.output(output), **MERGED)


def test_a_twin_leaves_the_model_as_it_is_and_computes_something_else(loaded):
    before, plain = state(loaded.model), estimates(loaded.model, 3.0)[0]
    twin = loaded.patched(PATCH)
    assert not torch.equal(estimates(twin.model, 3.0)[0], plain)
    assert torch.equal(estimates(loaded.model, 3.0)[0], plain)
    assert same(state(loaded.model), before)


def test_a_twin_shares_every_weight_that_no_patch_changes(loaded):
    loaded.merge(LORA)
    twin = loaded.patched(PATCH)
    own, base = dict(twin.model.unet.named_parameters()), dict(loaded.model.unet.named_parameters())
    shared = {name for name in own if own[name] is base[name]}
    assert shared
    assert all(not torch.equal(own[name], base[name]) for name in own.keys() - shared)
    assert twin.model.text is loaded.model.text and twin.model.codec is loaded.model.codec
    assert list(own) == list(base)


def test_hooks_on_a_twin_are_its_own(loaded):
    twin = loaded.patched(PATCH)
    hook = twin.model.unet.conv_in.register_forward_hook(lambda module, inputs, output: output + 1)
    try:
        assert not loaded.model.unet.conv_in._forward_hooks
    finally:
        hook.remove()


def test_the_second_job_with_a_patch_finds_it_applied(loaded):
    loaded.merge(LORA)
    twin = loaded.patched(PATCH)
    loaded.merge(LORA)
    assert loaded.patched(PATCH) is twin


def test_another_patch_or_another_merge_makes_a_new_twin(loaded):
    twin = loaded.patched(PATCH)
    weights = state(twin.model)
    other = loaded.patched(OTHER_PATCH)
    assert other is not twin
    assert not same(state(other.model), weights)
    assert same(state(loaded.patched(PATCH).model), weights)
    loaded.merge(LORA)
    assert loaded.twin is None
    merged = state(loaded.patched(PATCH).model)
    assert not same(merged, weights)
    loaded.unpatch()
    assert same(state(loaded.patched(PATCH).model), merged)


def test_a_new_twin_takes_the_memory_of_the_last(loaded):
    def places() -> set[int]:
        base = {weight.data_ptr() for weight in loaded.model.unet.parameters()}
        return {weight.data_ptr() for weight in loaded.patched(PATCH).model.unet.parameters()} - base

    first, held = places(), loaded.twin_bytes
    loaded.merge(LORA)
    assert loaded.twin_bytes == held
    assert places() == first
    loaded.patched(OTHER_PATCH)
    assert places() & first
    loaded.unpatch()
    assert loaded.twin_bytes == 0


def test_a_twin_that_is_let_go_of_dies_at_once(loaded):
    unet = weakref.ref(loaded.patched(PATCH).model.unet)
    loaded.unpatch()
    assert unet() is None


def test_a_patch_that_cannot_be_read_leaves_no_twin(loaded, tmp_path):
    path = tmp_path / "broken.fooocus.patch"
    path.write_bytes(b"no")
    loaded.patched(PATCH)
    with pytest.raises(BadModelFile, match="broken"):
        loaded.patched(((version_of(path), 1.0),))
    assert loaded.twin is None


def test_in_half_precision_what_a_lora_and_a_patch_add_is_rounded_once():
    full, half = Loaded(tiny_model()), Loaded(tiny_model())
    half.model.unet.half()
    for loaded in (full, half):
        loaded.merge(LORA)
    wide, narrow = (dict(loaded.patched(PATCH).model.unet.named_parameters()) for loaded in (full, half))
    # The checkpoint itself is stored in float16, so both start from the same numbers.
    assert all(torch.equal(narrow[name], wide[name].half()) for name in wide)
