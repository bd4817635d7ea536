"""A control network upon a base: what it computes, what it shares, and that the base never notices."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.models.companion import Companion
from fooocus_engine.models.control_lora import ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.families import sdxl
from fooocus_engine.models.families.checkpoint import Target, load_unet, take_apart
from fooocus_engine.models.patching import patched
from tests.golden.records import OWN_RECORDS
from tests.models import layouts
from tests.models.control_files import control_file
from tests.models.one_step import tiny_model

CPU = torch.device("cpu")
FILE = OWN_RECORDS / "tiny" / "adapters" / "control-lora-canny-rank128.safetensors"
LAYER, CONVOLUTION = "middle_block.1.proj_in", "input_blocks.4.0.in_layers.2"
MOST_EXTRA = 0.15  # of the UNet's memory


@pytest.fixture(scope="module")
def base() -> DiffusionModel:
    return tiny_model()


@pytest.fixture(scope="module")
def lora() -> ControlLora:
    return ControlLora.load(FILE, CPU, torch.float32)


def state(module: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def tell(network: ControlNetwork, hint: float = 1.0, context: int = 128) -> list[Tensor]:
    """All residuals for some input, the middle's last."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        skips, middle = network.module(
            torch.randn(1, 4, 8, 8, generator=generator),
            torch.tensor([500.0]),
            encoder_hidden_states=torch.randn(1, 77, context, generator=generator),
            controlnet_cond=torch.full((1, 3, 64, 64), hint),
            added_cond_kwargs={"text_embeds": torch.zeros(1, 64), "time_ids": torch.zeros(1, 6)},
            return_dict=False,
        )
    return [*skips, middle]


def effective(network: ControlNetwork, base: DiffusionModel, layer: str) -> Tensor:
    return network.module.get_submodule(base.unet_names[f"{layer}.weight"].removesuffix(".weight")).weight


@pytest.mark.parametrize("layer", [LAYER, CONVOLUTION])
def test_a_weight_is_the_bases_plus_up_times_down(layer, base, lora):
    weight = base.unet.get_parameter(base.unet_names[f"{layer}.weight"])
    up, down = lora.tensors[f"{layer}.up"], lora.tensors[f"{layer}.down"]
    expected = weight + torch.einsum("or,r...->o...", up, down)
    torch.testing.assert_close(effective(ControlNetwork.upon(base, lora), base, layer), expected)


def test_there_is_a_residual_for_every_block_and_the_hint_shows_in_each(base, lora):
    network = ControlNetwork.upon(base, lora)
    bright, dark = tell(network, 1.0), tell(network, 0.0)
    assert [tensor.shape[1] for tensor in bright] == [32, 32, 32, 32, 64, 64, 64, 128, 128, 128]
    assert not any(torch.equal(a, b) for a, b in zip(bright, dark, strict=True))


def test_all_that_is_not_in_the_file_is_the_bases_own(base, lora):
    network = ControlNetwork.upon(base, lora)
    assert network.own.keys() == lora.tensors.keys()
    ids = {id(parameter) for parameter in base.unet.parameters()} | {id(own) for own in network.own.values()}
    assert [name for name, parameter in network.module.named_parameters() if id(parameter) not in ids] == []


def test_the_base_is_bit_identical_after_a_control_and_after_an_error(base, lora):
    before = state(base.unet)
    network = ControlNetwork.upon(base, lora)
    tell(network)
    assert same(state(base.unet), before)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        tell(network, context=5)  # fails half-way, in the first attention to the text
    assert same(state(base.unet), before)
    assert not any(parameter.requires_grad for parameter in base.unet.parameters())


def test_a_file_that_does_not_fit_leaves_the_base_as_it_was(base, lora):
    before = state(base.unet)
    odd = replace(lora, tensors={**lora.tensors, f"{LAYER}.up": torch.zeros(7, 3)})
    with pytest.raises(BadModelFile, match="do not fit"):
        ControlNetwork.upon(base, odd)
    assert same(state(base.unet), before)
    assert not [name for name, _ in base.unet.named_modules() if "parametrizations" in name]


def test_the_network_follows_what_is_merged_into_the_base(base, lora):
    network = ControlNetwork.upon(base, lora)
    name = base.unet_names[f"{LAYER}.weight"]
    before, told = effective(network, base, LAYER).clone(), tell(network)
    with patched(base.unet, {name: lambda weight, out: torch.add(weight, 1, out=out)}):
        torch.testing.assert_close(effective(network, base, LAYER), before + 1)
        assert not torch.equal(tell(network)[-1], told[-1])
    assert torch.equal(effective(network, base, LAYER), before)


def test_upon_a_full_sdxl_the_published_rank_costs_little_memory():
    weights = layouts.sdxl_file()
    meta = Target(torch.device("meta"), torch.float16)
    base = sdxl.load(take_apart(weights, file="x", companion=Companion()), meta, None)
    tensors = control_file(layouts.ldm_unet(layouts.SDXL_UNET), rank=128)
    del tensors["lora_controlnet"]
    network = ControlNetwork.upon(base, ControlLora("x", tensors))
    shared = {id(parameter) for parameter in base.unet.parameters()}
    extra = sum(parameter.numel() for parameter in network.module.parameters() if id(parameter) not in shared)
    assert extra == sum(tensor.numel() for tensor in tensors.values())
    assert extra <= MOST_EXTRA * sum(parameter.numel() for parameter in base.unet.parameters())


def test_other_sizes_are_read_from_the_tensors():
    generator = torch.Generator().manual_seed(1)
    shapes = layouts.ldm_unet(layouts.SMALL_UNET)
    weights = {key: torch.randn(tensor.shape, generator=generator) * 0.02 for key, tensor in shapes.items()}
    checkpoint = take_apart(
        layouts.prefixed("model.diffusion_model.", weights), file="x", companion=Companion(unet={"norm_num_groups": 16})
    )
    unet, names = load_unet(checkpoint, Target(CPU, torch.float32), heads=2)
    base = replace(tiny_model(), unet=unet, unet_names=names)
    tensors = control_file(weights, rank=2)
    del tensors["lora_controlnet"]
    network = ControlNetwork.upon(base, ControlLora("x", tensors))
    assert [layer.out_channels for layer in network.module.controlnet_down_blocks] == [64, 64, 64, 64, 64, 96]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("lora_controlnet", "not a control-LoRA"),
        ("zero_convs.3.0.weight", r"lacks controlnet_down_blocks\.3\.weight"),
        ("input_hint_block.0.weight", r"lacks input_hint_block\.0\.weight"),
        ("input_hint_block.8.weight", r"lacks input_hint_block\.8\.weight"),
        (f"{LAYER}.down", "has no down"),
    ],
)
def test_what_a_file_lacks_is_named(key, message, base, tmp_path):
    tensors = load_file(FILE)
    del tensors[key]
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(BadModelFile, match=message):
        ControlNetwork.upon(base, ControlLora.load(tmp_path / "x.safetensors", CPU, torch.float32))


def test_a_file_without_a_hint_encoder_is_told(base):
    with pytest.raises(BadModelFile, match=r"lacks input_hint_block\.0\.weight"):
        ControlNetwork.upon(base, ControlLora("x", {"zero_convs.0.0.bias": torch.zeros(32)}))


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("input_hint_block.0.weight", (16,)),
        ("input_hint_block.8.weight", ()),
        ("input_hint_block.first.weight", (16, 3, 3, 3)),
        ("input_hint_block.0", (16, 3, 3, 3)),
        (f"input_hint_block.{'9' * 5000}.weight", (16, 3, 3, 3)),
        (f"{LAYER}.up", (64,)),
        (f"{LAYER}.down", ()),
    ],
)
def test_a_misshapen_tensor_is_a_bad_file(key, shape, base, lora):
    misshapen = replace(lora, tensors={**lora.tensors, key: torch.zeros(shape)})
    with pytest.raises(BadModelFile, match=r"no part of a hint encoder|no factor of a weight"):
        ControlNetwork.upon(base, misshapen)


def test_a_file_for_a_larger_model_is_refused(base, lora):
    larger = replace(lora, tensors={**lora.tensors, "input_blocks.9.0.in_layers.0.bias": torch.zeros(8)})
    with pytest.raises(BadModelFile, match=r"does not have: input_blocks\.9"):
        ControlNetwork.upon(base, larger)


def test_a_missing_file_is_not_installed(tmp_path):
    with pytest.raises(ModelUnavailable, match="not installed"):
        ControlLora.load(tmp_path / "x.safetensors", CPU, torch.float32)
