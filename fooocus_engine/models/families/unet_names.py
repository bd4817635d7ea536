"""UNet parameter names: checkpoint (LDM) ↔ diffusers, for any layout (models.md §5.3). Names only, no tensors."""

from __future__ import annotations

from collections.abc import Iterable

from fooocus_engine.models.families.unet_layout import UNetLayout

ENDS = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
RESIDUAL = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}


def block_names(layout: UNetLayout) -> dict[str, str]:
    """LDM block → diffusers block, for every residual block, attention and resampling of ``layout``."""
    names = {"middle_block.0": "mid_block.resnets.0"}
    if layout.middle_depth:
        names |= {"middle_block.1": "mid_block.attentions.0", "middle_block.2": "mid_block.resnets.1"}
    index = 1
    for x, level in enumerate(layout.down):
        for i, _ in enumerate(level.depths):
            names |= _pair(f"input_blocks.{index}", f"down_blocks.{x}", i)
            index += 1
        names[f"input_blocks.{index}.0.op"] = f"down_blocks.{x}.downsamplers.0.conv"
        index += 1
    index = 0
    for x, level in enumerate(layout.up):
        for i, _ in enumerate(level.depths):
            names |= _pair(f"output_blocks.{index}", f"up_blocks.{x}", i)
            index += 1
        part = 2 if level.depths[-1] else 1  # behind the attention, where there is one
        names[f"output_blocks.{index - 1}.{part}.conv"] = f"up_blocks.{x}.upsamplers.0.conv"
    return names


def _pair(ldm: str, diffusers: str, i: int) -> dict[str, str]:
    return {f"{ldm}.0": f"{diffusers}.resnets.{i}", f"{ldm}.1": f"{diffusers}.attentions.{i}"}


def unet_names(layout: UNetLayout, keys: Iterable[str]) -> dict[str, str]:
    """diffusers parameter name of every LDM key (without ``model.diffusion_model.``) in a block of ``layout``."""
    blocks = block_names(layout)
    names = ((key, _diffusers_name(key, blocks)) for key in keys)
    return {key: name for key, name in names if name is not None}


def _diffusers_name(key: str, blocks: dict[str, str]) -> str | None:
    layer, _, kind = key.rpartition(".")  # kind: weight or bias
    if layer in ENDS:
        return f"{ENDS[layer]}.{kind}"
    if layer in blocks:  # a resampling, which is one layer
        return f"{blocks[layer]}.{kind}"
    parts = layer.split(".")
    width = 2 if parts[0] == "middle_block" else 3
    block, inside = blocks.get(".".join(parts[:width])), ".".join(parts[width:])
    if block is None:
        return None
    if ".attentions." in block:
        return f"{block}.{inside}.{kind}"
    return f"{block}.{RESIDUAL[inside]}.{kind}" if inside in RESIDUAL else None
