"""The starter model's image-prompt adapter: sizes, fresh weights, and its three files in their published forms.

Networks are the engine's own classes. Keys start large: the reference multiplies them by C/1280, and layers here are 64
and 96 channels wide (image-control.md §4.4).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from builder.starter.model import CONTEXT
from builder.starter.training import write_whole
from builder.starter.world import BACKGROUNDS, COLOURS, SHAPES, Scene
from fooocus_engine.models.catalogue import CLIP_VISION, CONTROLNET, PROMPT_ADAPTER, PROMPT_NEGATIVE, VISION_TOWER
from fooocus_engine.models.image_attention import FULL_WIDTH, KeysValues, weighted
from fooocus_engine.models.ip_adapter import AdapterSizes, ImagePromptAdapter, adapter_file
from fooocus_engine.models.resampler import ResamplerSizes
from fooocus_engine.models.vision_tower import new_network, patch_features

TOWER_FILE = f"{CLIP_VISION}/{VISION_TOWER}"
ADAPTER_FILE = f"{CONTROLNET}/{PROMPT_ADAPTER}"
NEGATIVE_FILE = f"{CONTROLNET}/{PROMPT_NEGATIVE}"
FACTS = (*BACKGROUNDS, *COLOURS, *SHAPES, *(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES))
"""Backgrounds come before colours of the same name."""
_FIRST_COLOUR = len(BACKGROUNDS)
_FIRST_PAIR = _FIRST_COLOUR + len(COLOURS) + len(SHAPES)
SIDE = 224
WIDTH = 64
HEADS = 4
TOWER: Mapping[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 4 * WIDTH,
    "projection_dim": len(FACTS),
    "num_hidden_layers": 4,
    "num_attention_heads": HEADS,
    "image_size": SIDE,
    "patch_size": 28,
    "hidden_act": "gelu",
    # Plain products of matrices: the fused kernel's backward pass in bfloat16 is slower on the processor.
    "attn_implementation": "eager",
}
TOKENS = 8
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
VALUE_START = 0.3  # of a linear layer's usual first weights: the untrained values must not disturb


class Adapter(nn.Module):
    """Everything that is trained: vision tower, resampler with keys and values, tokens of the negative half."""

    def __init__(self, widths: list[int]) -> None:
        """``widths``: channels of the UNet's cross-attention layers, in the engine's order."""
        super().__init__()
        self.tower = new_network(TOWER)
        self.adapter = ImagePromptAdapter(AdapterSizes(RESAMPLER, {2 * n + 1: w for n, w in enumerate(widths)}))
        self.negative = nn.Parameter(torch.randn(1, TOKENS, CONTEXT) * 0.5)
        with torch.no_grad():
            for name, matrix in self.adapter.ip_adapter.named_parameters():
                matrix.mul_(key_gain(matrix) if "to_k_ip" in name else VALUE_START)

    def keys_values(self, pixels: Tensor, is_negative: Tensor, weight: Tensor) -> KeysValues:
        """What a UNet call looks at, weighted as the reference does.

        ``pixels [B, 3, 224, 224]`` normalised; rows that ``is_negative [B]`` marks get the negative tokens instead;
        ``weight [B]`` is each row's own.
        """
        tokens = self.adapter.tokens(patch_features(self.tower, pixels))
        tokens = torch.where(is_negative[:, None, None], self.negative.to(tokens.dtype), tokens)
        return weighted(self.adapter.keys_values(tokens), weight[:, None, None])

    def fact_scores(self, pixels: Tensor) -> Tensor:
        """A logit for each of ``FACTS``, ``[B, facts]``: what the tower's own projection is trained to give."""
        scores: Tensor = self.tower(pixels).image_embeds
        return scores

    def groups(self, rate: float, tower_share: float) -> list[dict[str, Any]]:
        """Parameters with the rates that they learn at: keys as much faster as they are larger."""
        keys = {name: p for name, p in self.named_parameters() if "to_k_ip" in name}
        tower = [p for name, p in self.named_parameters() if name.startswith("tower.")]
        rest = [p for name, p in self.named_parameters() if not name.startswith("tower.") and name not in keys]
        return [
            {"params": rest, "lr": rate},
            {"params": tower, "lr": rate * tower_share},
            *({"params": [p], "lr": rate * key_gain(p), "weight_decay": 0.01 / key_gain(p)} for p in keys.values()),
        ]


def key_gain(matrix: Tensor) -> float:
    """How much larger than in a layer of 1280 channels the keys of ``matrix [C, context]`` must be."""
    return FULL_WIDTH / matrix.shape[0]


def fact_rows(scenes: Sequence[Scene]) -> Tensor:
    """``[B, facts]`` float32: 1 where a scene has the fact."""
    rows = torch.zeros(len(scenes), len(FACTS))
    for row, scene in zip(rows, scenes, strict=True):
        row[BACKGROUNDS.index(scene.background)] = 1
        for group in scene.groups:
            row[FACTS.index(group.colour, _FIRST_COLOUR)] = 1
            row[FACTS.index(group.shape, _FIRST_COLOUR)] = 1
            row[FACTS.index(f"{group.colour} {group.shape}", _FIRST_PAIR)] = 1
    return rows


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
