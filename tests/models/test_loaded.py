"""A checkpoint with files merged into it and its twin with an inpaint patch: what they share, and what each leaves."""

from __future__ import annotations

import itertools
import weakref
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.loaded import Files, Loaded
from fooocus_engine.models.lora import Stack, modules
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
    loaded.patched(OTHER_PATCH)
    assert loaded.twin is not twin
    loaded.merge(LORA)
    assert loaded.twin is None


def test_a_twin_over_the_memory_of_another_is_as_one_of_its_own(loaded):
    jobs = [((), PATCH), ((), OTHER_PATCH), ((), PATCH), (LORA, PATCH), (LORA, OTHER_PATCH), ((), OTHER_PATCH)]
    over = []
    for merged, patch in jobs:
        loaded.merge(merged)
        over.append(state(loaded.patched(patch).model))
    for (merged, patch), found in zip(jobs, over, strict=True):
        loaded.unpatch()
        loaded.merge(merged)
        assert same(state(loaded.patched(patch).model), found)


def own_weights(loaded: Loaded, patch: Files) -> dict[int, Tensor]:
    """The weights that a twin does not share, by where they lie."""
    base = {weight.data_ptr() for weight in loaded.model.unet.parameters()}
    found = {weight.data_ptr(): weight for weight in loaded.patched(patch).model.unet.parameters()}
    return {place: weight for place, weight in found.items() if place not in base}


def test_a_new_twin_takes_the_memory_of_the_last(loaded):
    first, held = own_weights(loaded, PATCH), loaded.twin_bytes
    loaded.merge(LORA)
    assert loaded.twin_bytes == held == sum(weight.nbytes for weight in first.values())
    assert own_weights(loaded, PATCH).keys() == first.keys()
    more = own_weights(loaded, OTHER_PATCH)
    assert more.keys() > first.keys()  # it changes all of these, and others
    loaded.unpatch()
    assert loaded.twin_bytes == 0


def test_an_error_in_the_middle_of_a_patch_leaves_no_twin_and_the_next_one_is_right(loaded, monkeypatch):
    before, right = state(loaded.model), state(loaded.patched(PATCH).model)
    usual, calls = Stack.__call__, itertools.count()

    def failing(self, pristine: Tensor, /, out: Tensor) -> None:
        if next(calls) == 4:
            out.fill_(torch.nan)
            raise RuntimeError("no more")
        usual(self, pristine, out)

    with monkeypatch.context() as changed, pytest.raises(RuntimeError, match="no more"):
        changed.setattr(Stack, "__call__", failing)
        loaded.patched(OTHER_PATCH)
    assert loaded.twin is None and loaded.twin_bytes == 0
    assert same(state(loaded.model), before)
    assert same(state(loaded.patched(PATCH).model), right)


def test_a_twin_that_is_let_go_of_dies_at_once(loaded):
    unet = weakref.ref(loaded.patched(PATCH).model.unet)
    loaded.unpatch()
    assert unet() is None


@pytest.mark.parametrize(
    ("name", "use"), [("broken.fooocus.patch", Loaded.patched), ("broken.safetensors", Loaded.merge)]
)
def test_a_file_that_cannot_be_read_leaves_no_twin(loaded, tmp_path, name, use):
    path = tmp_path / name
    path.write_bytes(b"no")
    loaded.patched(PATCH)
    with pytest.raises(BadModelFile, match="broken"):
        use(loaded, ((version_of(path), 1.0),))
    assert loaded.twin is None and loaded.twin_bytes == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_twins_follow_each_other_without_more_memory_and_give_all_of_it_back():
    model = tiny_model()
    model.unet.to("cuda", memory_format=torch.channels_last)
    loaded, before = Loaded(replace(model, device=torch.device("cuda"))), state(model)
    held = torch.cuda.memory_allocated()
    loaded.merge(LORA)
    weights = own_weights(loaded, OTHER_PATCH)
    with_twin = torch.cuda.memory_allocated()
    loaded.merge(())
    loaded.patched(OTHER_PATCH)
    assert torch.cuda.memory_allocated() == with_twin
    assert all(
        weight.is_contiguous(memory_format=torch.channels_last) for weight in weights.values() if weight.ndim == 4
    )
    del weights
    loaded.unpatch()
    assert torch.cuda.memory_allocated() <= held
    assert same(state(model), before)


def test_in_half_precision_what_a_lora_and_a_patch_add_is_rounded_once():
    full, half = Loaded(tiny_model()), Loaded(tiny_model())
    half.model.unet.half()
    for loaded in (full, half):
        loaded.merge(LORA)
    wide, narrow = (dict(loaded.patched(PATCH).model.unet.named_parameters()) for loaded in (full, half))
    # The checkpoint itself is stored in float16, so both start from the same numbers.
    assert all(torch.equal(narrow[name], wide[name].half()) for name in wide)
