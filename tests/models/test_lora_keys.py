"""Every published spelling of every weight, with the library's own converters as the oracle."""

from __future__ import annotations

import re

import pytest
import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from fooocus_engine.models.lora_keys import BLOCK_LINEARS, Names, Weight, text_names, unet_names, usual_linears

ROWS = torch.zeros(1, 1)  # a stand-in for every LoRA tensor: only names count here


@pytest.fixture(scope="module")
def unet() -> UNet2DConditionModel:
    """SDXL's UNet at full size (models.md §5.1), without memory."""
    with torch.device("meta"):
        return UNet2DConditionModel(
            block_out_channels=(320, 640, 1280),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 10),
            attention_head_dim=(5, 10, 20),
            cross_attention_dim=2048,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=256,
            projection_class_embeddings_input_dim=2816,
        )


@pytest.fixture(scope="module")
def names(unet: UNet2DConditionModel) -> Names:
    return unet_names(ldm_names(unet))


def ldm_names(unet: UNet2DConditionModel) -> dict[str, str]:
    """LDM key → parameter, written from the table of models.md §5.3 for SDXL's three levels."""
    blocks: dict[str, str] = {"mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1"}
    blocks["mid_block.resnets.1"] = "middle_block.2"
    for x in range(3):
        for i in range(2):
            blocks[f"down_blocks.{x}.resnets.{i}"] = f"input_blocks.{1 + 3 * x + i}.0"
            blocks[f"down_blocks.{x}.attentions.{i}"] = f"input_blocks.{1 + 3 * x + i}.1"
        for i in range(3):
            blocks[f"up_blocks.{x}.resnets.{i}"] = f"output_blocks.{3 * x + i}.0"
            blocks[f"up_blocks.{x}.attentions.{i}"] = f"output_blocks.{3 * x + i}.1"
        blocks[f"down_blocks.{x}.downsamplers.0.conv"] = f"input_blocks.{3 + 3 * x}.0.op"
        blocks[f"up_blocks.{x}.upsamplers.0.conv"] = f"output_blocks.{3 * x + 2}.2.conv"
    residual = {
        "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
        "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
    }  # fmt: skip
    ends = {
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    }  # fmt: skip
    found = {}
    for parameter, _ in unet.named_parameters():
        layer, _, kind = parameter.rpartition(".")
        block = next((block for block in blocks if f"{layer}.".startswith(f"{block}.")), None)
        if block is None:
            found[f"{ends[layer]}.{kind}"] = parameter
        else:
            inside = layer[len(block) :].lstrip(".")
            found[".".join(filter(None, [blocks[block], residual.get(inside, inside), kind]))] = parameter
    return found


def linears(unet: UNet2DConditionModel) -> list[str]:
    """The layers that published LoRAs train: everything with a weight matrix inside the blocks."""
    return [
        name
        for name, module in unet.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d) and "_block" in name
    ]


def test_every_weight_of_the_unet_has_ldm_diffusers_and_raw_names(unet, names):
    for ldm, parameter in ldm_names(unet).items():
        weight = Weight("unet", parameter)
        assert names.raw[f"diffusion_model.{ldm}"] == weight
        if parameter.endswith(".weight"):
            assert names.bases["lora_unet_" + ldm.removesuffix(".weight").replace(".", "_")] == weight
            assert names.bases["lora_unet_" + parameter.removesuffix(".weight").replace(".", "_")] == weight
    assert {weight.parameter for weight in names.raw.values()} == {name for name, _ in unet.named_parameters()}


def test_kohya_names_in_ldm_spelling_mean_what_the_librarys_converter_says(unet, names):
    ldm = {parameter: key for key, parameter in ldm_names(unet).items()}
    for layer in linears(unet):
        base = "lora_unet_" + ldm[f"{layer}.weight"].removesuffix(".weight").replace(".", "_")
        assert oracle(base, unet) == layer.replace(".to_out.0", ".to_out")
        assert names.bases[base] == Weight("unet", f"{layer}.weight")


def test_kohya_names_in_diffusers_spelling_mean_what_the_librarys_converter_says(unet, names):
    for layer in linears(unet):
        base = "lora_unet_" + layer.replace(".", "_")
        assert oracle(base, unet) == layer.replace(".to_out.0", ".to_out")
        assert names.bases[base] == Weight("unet", f"{layer}.weight")


def oracle(base: str, unet: UNet2DConditionModel) -> str:
    """The diffusers layer that the library reads ``base`` as; it takes the index off an attention's output."""
    tensors = {f"{base}.lora_down.weight": ROWS, f"{base}.lora_up.weight": ROWS, f"{base}.alpha": torch.tensor(1.0)}
    return converted(_maybe_map_sgm_blocks_to_diffusers(tensors, unet.config)).removeprefix("unet.")


def converted(tensors: dict[str, torch.Tensor]) -> str:
    (down,) = (key for key in _convert_non_diffusers_lora_to_diffusers(tensors)[0] if ".down." in key)
    return re.sub(r"(_lora|\.lora|\.lora_linear_layer)\.down\.weight$", "", down).replace(".processor", "")


def test_diffusers_names_are_those_of_attention_processors(unet, names):
    processors = list(unet.attn_processors)
    assert len(processors) == 140
    for processor in processors:
        attention = processor.removesuffix(".processor")
        for spelt, layer in {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}.items():
            weight = Weight("unet", f"{attention}.{layer}.weight")
            assert names.bases[f"unet.{processor}.{spelt}"] == weight
            assert names.bases[f"{processor}.{spelt}"] == weight


def encoder(part: str) -> list[str]:
    """Parameter names of the published encoder (prompt.md §14), as ``text_model.…``."""
    layers, heads, width = {"clip_l": (12, 12, 768), "clip_g": (32, 20, 1280)}[part]
    config = CLIPTextConfig(
        hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=heads
    )
    with torch.device("meta"):
        return [name for name, _ in CLIPTextModelWithProjection(config).named_parameters()]


@pytest.mark.parametrize(
    ("part", "blocks", "prefixes", "diffusers"),
    [("clip_l", 12, ["lora_te_", "lora_te1_"], "text_encoder"), ("clip_g", 32, ["lora_te2_"], "text_encoder_2")],
)
def test_every_block_of_the_text_encoders_has_its_names(part, blocks, prefixes, diffusers):
    parameters = encoder(part)
    names = text_names(part, parameters)
    for block in range(blocks):
        for linear in BLOCK_LINEARS:
            stem = f"text_model.encoder.layers.{block}.{linear}"
            weight = Weight(part, f"{stem}.weight")
            assert weight.parameter in parameters
            assert names.bases[f"{diffusers}.{stem}"] == weight
            assert names.raw[f"{part}.transformer.{stem}.weight"] == weight
            for prefix in prefixes:
                base = prefix + stem.replace(".", "_")
                assert names.bases[base] == weight
                read = converted({f"{base}.lora_down.weight": ROWS, f"{base}.lora_up.weight": ROWS})
                # The library gives attention layers the names of its own attention: to_q for q_proj.
                assert re.sub(r"\.to_(q|k|v|out)$", r".\1_proj", read) == f"{diffusers}.{stem}"
    assert not [base for base in names.bases if base.startswith("lora_te") and f"layers_{blocks}_" in base]


@pytest.mark.parametrize("part", ["clip_l", "clip_g"])
def test_a_dropped_encoder_keeps_the_names_of_its_linear_layers(part):
    own = text_names(part, encoder(part))
    dropped = text_names(part, usual_linears(part))
    kohya = {base for base in own.bases if base.startswith("lora_te")}
    assert {base for base in dropped.bases if base.startswith("lora_te")} == kohya


def test_names_of_different_parts_never_meet(names):
    parts = [names, *(text_names(part, usual_linears(part)) for part in ("clip_l", "clip_g"))]
    assert len(set().union(*(part.bases for part in parts))) == sum(len(part.bases) for part in parts)
