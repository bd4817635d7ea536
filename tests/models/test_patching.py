"""Borrowed weight changes: applied, undone bit by bit, refused whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from fooocus_engine.models.patching import Change, apply_changes, patched, patched_twin


def to(value: Callable[[Tensor], Tensor]) -> Change:
    """The change that gives a pristine weight this value."""

    def change(pristine: Tensor, /, out: Tensor) -> None:
        out.copy_(value(pristine))

    return change


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Conv2d(4, 5, 3).half())


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_change_holds_inside_and_is_undone_to_the_bit():
    module = network()
    before = state(module)
    with patched(module, {"0.weight": to(lambda w: w + 0.1), "1.bias": to(lambda w: w * 3)}):
        assert torch.equal(module[0].weight, before["0.weight"] + 0.1)
        assert torch.equal(module[1].bias, before["1.bias"] * 3)
        assert torch.equal(module[1].weight, before["1.weight"])
    assert same(state(module), before)


def test_an_error_inside_leaves_no_trace():
    module = network()
    before = state(module)
    with pytest.raises(RuntimeError, match="inside"), patched(module, {"0.weight": to(lambda w: w + 0.1)}):
        raise RuntimeError("inside")
    assert same(state(module), before)


def test_changing_nothing_changes_nothing():
    module = network()
    before = state(module)
    with patched(module, {}):
        assert same(state(module), before)
    with patched(module, {"0.weight": to(lambda w: w)}):
        assert same(state(module), before)


def test_an_unknown_name_is_refused_before_anything_changes():
    module = network()
    before = state(module)
    with pytest.raises(KeyError, match="nowhere"):
        apply_changes(module, {"0.weight": to(lambda w: w + 1), "nowhere": to(lambda w: w)})
    assert same(state(module), before)


def test_a_failing_change_and_those_before_it_are_put_back():
    def fail(_: Tensor, out: Tensor) -> None:
        out[0] = 1
        raise RuntimeError("no memory")

    module = network()
    before = state(module)
    with pytest.raises(RuntimeError, match="no memory"):
        apply_changes(module, {"0.weight": to(lambda w: w + 1), "0.bias": fail})
    assert same(state(module), before)


def test_a_long_lived_change_lasts_until_it_is_closed():
    module = network()
    before = state(module)
    borrowed = apply_changes(module, {"0.weight": to(lambda w: w + 0.1)})
    assert not same(state(module), before)
    borrowed.close()
    assert same(state(module), before)


def test_stacked_changes_come_off_in_reverse():
    module = network()
    before = state(module)
    with patched(module, {"0.weight": to(lambda w: w + 0.1)}):
        between = state(module)
        with patched(module, {"0.weight": to(lambda w: w * 7)}):
            pass
        assert same(state(module), between)
    assert same(state(module), before)


def test_the_parameter_object_and_its_memory_layout_stay():
    module = network().to(memory_format=torch.channels_last)
    parameter = module[1].weight
    with patched(module, {"1.weight": to(lambda w: (w + 1).contiguous())}):
        assert module[1].weight is parameter
        assert parameter.is_contiguous(memory_format=torch.channels_last)
    assert parameter.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_originals_do_not_take_device_memory():
    module = nn.Linear(2048, 2048, device="cuda")
    before = state(module)
    held = torch.cuda.memory_allocated()
    with patched(module, {"weight": to(lambda w: w + 1)}):
        assert torch.cuda.memory_allocated() <= held
    assert same(state(module), before)


def test_a_twin_has_the_change_and_shares_the_rest():
    module = network()
    before = state(module)
    twin = patched_twin(module, {"0.weight": to(lambda w: w + 0.1)}, {}, {})
    assert torch.equal(twin[0].weight, before["0.weight"] + 0.1)
    assert twin[1].weight is module[1].weight and twin[0].bias is module[0].bias
    assert same(state(module), before)


def test_a_twin_starts_from_what_is_given_as_pristine():
    module = network()
    twin = patched_twin(module, {"0.weight": to(lambda w: w + 1)}, {"0.weight": torch.zeros(4, 3)}, {})
    assert torch.equal(twin[0].weight, torch.ones(4, 3))


def test_a_twin_keeps_the_memory_layout():
    module = network().to(memory_format=torch.channels_last)
    twin = patched_twin(module, {"1.weight": to(lambda w: (w + 1).contiguous())}, {}, {})
    assert twin[1].weight.is_contiguous(memory_format=torch.channels_last)


def test_a_twin_is_written_over_the_memory_that_it_is_given():
    module = network()
    memory = torch.full((4, 3), torch.nan)
    twin = patched_twin(
        module, {"0.weight": to(lambda w: w + 1), "0.bias": to(lambda w: w + 1)}, {}, {"0.weight": memory}
    )
    assert twin[0].weight.data_ptr() == memory.data_ptr()
    assert torch.equal(twin[0].weight, module[0].weight + 1) and torch.equal(twin[0].bias, module[0].bias + 1)


def test_a_twin_of_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="nowhere"):
        patched_twin(network(), {"nowhere": to(lambda w: w)}, {}, {})


def test_originals_of_what_is_changed_can_be_read_meanwhile():
    module = network()
    before = state(module)
    with apply_changes(module, {"0.weight": to(lambda w: w + 0.1)}) as borrowed:
        assert borrowed.originals.keys() == {"0.weight"}
        assert torch.equal(borrowed.originals["0.weight"], before["0.weight"])
