from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.utils import parametrize

from builder.starter.autoencoder import new_autoencoder
from builder.starter.export import NAME, write_checkpoint
from builder.starter.lora import adapt, base_name, write_lora
from builder.starter.model import CONTEXT, POOLED, Networks, new_tokenizer
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.models.families.unet_names import ENDS
from fooocus_engine.models.store import ModelStore
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice

HALF = 5e-3  # base and factors are rounded to float16, their sum once more
FILE = "changed.safetensors"


@pytest.fixture(scope="module")
def networks() -> Networks:
    torch.manual_seed(0)
    return Networks(new_tokenizer()).eval()


def asked() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(1)
    return {
        "sample": torch.randn(1, 4, 16, 16, generator=generator),
        "timestep": torch.tensor([500.0]),
        "encoder_hidden_states": torch.randn(1, 77, CONTEXT, generator=generator),
        "added_cond_kwargs": {
            "text_embeds": torch.randn(1, POOLED, generator=generator),
            "time_ids": torch.tensor([[128.0, 128, 0, 0, 128, 128]]),
        },
    }


@torch.no_grad()
def output(unet: nn.Module) -> Tensor:
    made: Tensor = unet(**asked()).sample
    return made


def stirred(factors: nn.ModuleDict) -> nn.ModuleDict:
    for factor in factors.values():
        nn.init.normal_(factor.up, std=0.05)  # type: ignore[arg-type]
    return factors


def test_fresh_factors_change_nothing_and_are_all_that_learns(networks: Networks):
    unet = deepcopy(networks.unet)
    before = output(unet)
    factors = adapt(unet)
    assert torch.equal(output(unet), before)
    learned = {id(parameter) for parameter in unet.parameters() if parameter.requires_grad}
    assert learned == {id(parameter) for parameter in factors.parameters()}


def test_layers_are_called_as_in_files_for_sdxl():
    inside = "transformer_blocks.0.attn2.to_out.0"
    assert base_name(f"down_blocks.1.attentions.0.{inside}") == (
        "lora_unet_input_blocks_3_1_transformer_blocks_0_attn2_to_out_0"
    )
    assert base_name("mid_block.resnets.1.conv1") == "lora_unet_middle_block_2_in_layers_2"
    assert base_name("up_blocks.0.resnets.1.conv_shortcut") == "lora_unet_output_blocks_1_0_skip_connection"


def test_all_layers_are_changed_but_those_at_the_ends(networks: Networks):
    unet = deepcopy(networks.unet)
    adapt(unet)
    layers = {name: module for name, module in unet.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)}
    assert {name for name, layer in layers.items() if not parametrize.is_parametrized(layer)} == set(ENDS.values()) - {
        "conv_norm_out"
    }


@pytest.mark.parametrize("strength", [1.0, 0.8])
def test_the_engine_computes_with_the_file_what_was_trained(networks: Networks, tmp_path: Path, strength: float):
    unet = deepcopy(networks.unet)
    factors = stirred(adapt(unet, strength=strength))
    write_checkpoint(networks.state_dict(), new_autoencoder().state_dict(), tmp_path / "checkpoints")
    write_lora(factors.state_dict(), tmp_path / "loras" / FILE)

    store = ModelStore(Settings(models_dir=tmp_path, device="cpu"), Catalogue(tmp_path))
    with store.prepared(ModelChoice(NAME, loras=((FILE, strength),))) as prepared:
        assert prepared.warnings == ()
        made = output(prepared.base.unet)
    assert torch.allclose(made, output(unet), atol=HALF)
    assert not torch.allclose(made, output(networks.unet), atol=20 * HALF)


def test_a_file_stays_within_its_size_and_is_float16(networks: Networks, tmp_path: Path):
    write_lora(adapt(deepcopy(networks.unet)).state_dict(), tmp_path / FILE)
    assert (tmp_path / FILE).stat().st_size <= 2_000_000
    tensors = load_file(tmp_path / FILE)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    suffixes = {key.split(".", 1)[1] for key in tensors}
    assert suffixes == {"lora_up.weight", "lora_down.weight", "alpha"}
