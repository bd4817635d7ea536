"""The starter model's image-prompt adapter: sizes, fresh weights, and its three files in their published forms.

Networks are the engine's own classes. Tokens are to be what the text encoders say of a picture's caption, so keys and
values are the UNet's own of its texts. The reference multiplies image keys by C/1280 (image-control.md §4.4); layers
here are 64 and 96 channels wide, so their keys are that much larger.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from builder.starter.model import CONTEXT, Networks
from builder.starter.token_texts import TOKENS, silent_states
from builder.starter.training import write_whole
from fooocus_engine.models.catalogue import CLIP_VISION, CONTROLNET, PROMPT_ADAPTER, PROMPT_NEGATIVE, VISION_TOWER
from fooocus_engine.models.image_attention import FULL_WIDTH, cross_attentions, layer_widths
from fooocus_engine.models.ip_adapter import AdapterSizes, ImagePromptAdapter, adapter_file
from fooocus_engine.models.resampler import ResamplerSizes
from fooocus_engine.models.vision_tower import new_network, patch_features

TOWER_FILE = f"{CLIP_VISION}/{VISION_TOWER}"
ADAPTER_FILE = f"{CONTROLNET}/{PROMPT_ADAPTER}"
NEGATIVE_FILE = f"{CONTROLNET}/{PROMPT_NEGATIVE}"
SIDE = 224
WIDTH = 64
HEADS = 4
TOWER: Mapping[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 4 * WIDTH,
    "projection_dim": 8,  # the form asks for one; it is not looked at, as the last layer is not
    "num_hidden_layers": 4,
    "num_attention_heads": HEADS,
    "image_size": SIDE,
    "patch_size": 28,
    "hidden_act": "gelu",
    # Plain products of matrices: the fused kernel's backward pass in bfloat16 is slower on the processor.
    "attn_implementation": "eager",
}
RESAMPLER = ResamplerSizes(
    tokens=TOKENS,
    features=WIDTH,
    width=WIDTH,
    context=CONTEXT,
    layers=2,
    inner=WIDTH,
    heads=1,  # of 64 channels, as in the published files, so that no companion need tell
    feed_forward=4 * WIDTH,
)


class Adapter(nn.Module):
    """Vision tower and resampler, which learn; keys and values, which are the UNet's; tokens of the negative half."""

    def __init__(self, networks: Networks) -> None:
        """On the device of ``networks``."""
        super().__init__()
        device = next(networks.parameters()).device
        widths = {2 * number + 1: width for number, width in enumerate(layer_widths(networks.unet))}
        self.tower = new_network(TOWER).to(device)
        self.adapter = ImagePromptAdapter(AdapterSizes(RESAMPLER, widths)).to(device)
        self.negative: Tensor
        self.register_buffer("negative", silent_states(networks))
        matrices = self.adapter.ip_adapter
        for own, layer in zip(matrices.values(), cross_attentions(networks.unet), strict=True):
            keys, values = layer.to_k.weight.detach(), layer.to_v.weight.detach()
            own.load_state_dict({"to_k_ip.weight": key_gain(keys) * keys, "to_v_ip.weight": values})
        unseen = (self.tower.vision_model.encoder.layers[-1], self.tower.vision_model.post_layernorm)
        for fixed in (matrices, *unseen, self.tower.visual_projection):
            fixed.requires_grad_(False)

    def tokens(self, pixels: Tensor) -> Tensor:
        """Image tokens ``[B, 8, context]`` of ``pixels [B, 3, 224, 224]``, normalised."""
        tokens: Tensor = self.adapter.tokens(patch_features(self.tower, pixels))
        return tokens

    def learned(self) -> dict[str, nn.Parameter]:
        """The parameters that move."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def metric(self, states: Tensor) -> Tensor:
        """``[context, context]``, by which errors of tokens weigh as they do in keys and values.

        Of a layer's keys, and of its values, an error of the deviation that those of ``states [N, 8, context]`` have
        counts as 1.
        """
        centred = states - states.mean(0)
        parts = [p.detach() for p in self.adapter.ip_adapter.parameters()]
        weighed = [part.T @ part / (centred @ part.T).square().sum(-1).mean() for part in parts]
        return torch.stack(weighed).mean(0)


def key_gain(matrix: Tensor) -> float:
    """How much larger than in a layer of 1280 channels the keys of ``matrix [C, context]`` must be."""
    return FULL_WIDTH / matrix.shape[0]


def write_files(adapter: Adapter, models: Path) -> list[Path]:
    """The three files in a models folder, float16, with the companion of the tower."""
    tower, negative, layers = (models / name for name in (TOWER_FILE, NEGATIVE_FILE, ADAPTER_FILE))
    weights = {name: _half(tensor) for name, tensor in adapter.tower.state_dict().items()}
    content = {part: {n: _half(t) for n, t in ts.items()} for part, ts in adapter_file(adapter.adapter).items()}
    write_whole(tower, lambda path: save_file(weights, path))
    write_whole(negative, lambda path: save_file({"data": _half(adapter.negative)}, path))
    write_whole(layers, lambda path: torch.save(content, path))
    companion = tower.with_suffix("")
    companion.mkdir(exist_ok=True)
    (companion / "vision.json").write_text(json.dumps({"num_attention_heads": HEADS}) + "\n", encoding="utf-8")
    return [tower, negative, layers]


def _half(tensor: Tensor) -> Tensor:
    return tensor.detach().cpu().half().contiguous()  # a file from a GPU is read anywhere
