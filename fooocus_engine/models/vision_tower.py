"""VisionTower: the CLIP vision network of image prompts, pixels → patch features (image-control.md §4.1).

Sizes are read from the tensors. Head count, activation and norm epsilon come from ``vision.json`` in the file's
companion folder, or are ViT-H/14's own. Knows no pictures as clients have them; conditioning prepares the pixels.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.companion import read_told
from fooocus_engine.models.weights import assign, built, read_weights

HEAD_SIZE = 80  # of ViT-H/14: 1280 channels, 16 heads
TOLD = "vision.json"
HARMLESS = "vision_model.embeddings.position_ids"  # a buffer of older libraries
_LAYER_MARK = re.compile(r"vision_model\.encoder\.layers\.\d+\.mlp\.fc1\.weight")


@dataclass(frozen=True, eq=False)
class VisionTower:
    """The network with what a caller must know of it."""

    network: CLIPVisionModelWithProjection
    device: torch.device
    dtype: torch.dtype

    @classmethod
    def load(cls, path: Path, device: torch.device, dtype: torch.dtype) -> VisionTower:
        """The tower of a file with transformers' names.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: a weight is missing, or sizes do not fit together.
        """
        return cls.of(read_weights(path), read_told(path, TOLD), path.name, device, dtype)

    @classmethod
    def of(
        cls,
        weights: Mapping[str, Tensor],
        told: Mapping[str, Any],
        file: str,
        device: torch.device,
        dtype: torch.dtype,
    ) -> VisionTower:
        """The tower of weights with transformers' names; ``told`` is what they cannot tell, ``file`` their name.

        Raises:
            BadModelFile: a weight is missing, or sizes do not fit together.
        """
        tensors = {name: tensor for name, tensor in weights.items() if name != HARMLESS}
        config = _config(tensors, told, file)
        network = built(lambda: new_network(config), file=file, part="vision network")
        # A buffer that no file holds; it must not stay on the meta device.
        embeddings = network.vision_model.embeddings
        embeddings.position_ids = torch.arange(embeddings.num_positions, device=device)[None]
        assign(network, tensors, file=file, part="vision network", convert=lambda _, t: t.to(device, dtype))
        return cls(network, device, dtype)

    @property
    def side(self) -> int:
        """Width and height in pixels of the pictures it looks at."""
        return int(self.network.config.image_size)

    @property
    def width(self) -> int:
        """Channels of a patch's features."""
        return int(self.network.config.hidden_size)

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """``[B, patches + 1, width]`` of normalised pictures ``[B, 3, side, side]``."""
        return patch_features(self.network, pixels.to(self.device, self.dtype))

    @torch.no_grad()
    def embedding(self, pixels: Tensor) -> Tensor:
        """``[B, projection]`` of normalised pictures ``[B, 3, side, side]``: the whole of each in CLIP's own space."""
        projected: Tensor = self.network(pixels.to(self.device, self.dtype)).image_embeds
        return projected


def new_network(config: Mapping[str, Any]) -> CLIPVisionModelWithProjection:
    """The network of these sizes, in the names of ``CLIPVisionConfig``, with fresh weights."""
    return CLIPVisionModelWithProjection(CLIPVisionConfig(**config))


def patch_features(network: CLIPVisionModelWithProjection, pixels: Tensor) -> Tensor:
    """What the last layer but one puts out, not normed (image-control.md §4.1)."""
    hidden = network.vision_model(pixels, output_hidden_states=True).hidden_states
    features: Tensor = hidden[-2]
    return features


def _config(tensors: Mapping[str, Tensor], told: Mapping[str, Any], file: str) -> dict[str, Any]:
    try:
        width, channels, patch, _ = tensors["vision_model.embeddings.patch_embedding.weight"].shape
        positions = tensors["vision_model.embeddings.position_embedding.weight"].shape[0]
        inner = tensors["vision_model.encoder.layers.0.mlp.fc1.weight"].shape[0]
        projection = tensors["visual_projection.weight"].shape[0]
        side = isqrt(positions - 1) * patch
    except KeyError as error:
        raise BadModelFile(f"{file}: the vision network lacks {error.args[0]}") from error
    except (ValueError, IndexError) as error:
        raise BadModelFile(f"{file}: the vision network has weights of unexpected shape: {error}") from error
    return {
        "hidden_size": width,
        "intermediate_size": inner,
        "projection_dim": projection,
        "num_hidden_layers": sum(1 for name in tensors if _LAYER_MARK.fullmatch(name)),
        "num_attention_heads": told.get("num_attention_heads", max(1, width // HEAD_SIZE)),
        "num_channels": channels,
        "image_size": side,
        "patch_size": patch,
        "hidden_act": told.get("hidden_act", "gelu"),
        "layer_norm_eps": told.get("layer_norm_eps", 1e-5),
        "attn_implementation": "sdpa",
    }
