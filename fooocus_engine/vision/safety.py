"""SafetyChecker: whether a picture may show what not everybody wants to see (image-tools.md §3).

CLIP's vision network, and how near what it sees comes to given concepts. Activation and head count come from
``safety.json`` in the file's companion folder, or are ViT-L/14's own. Knows no requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.companion import read_told
from fooocus_engine.models.vision_tower import VisionTower
from fooocus_engine.models.weights import read_weights
from fooocus_engine.vision.pixels import CLIP_DEVIATION, CLIP_MEAN, normalised

STRICTER = 0.01  # added to the scores that follow a hit among the concepts of special care
DIGITS = 3  # of a score
HEAD_SIZE = 64  # of ViT-L/14: 1024 channels, 16 heads
TOLD, PREFIX = "safety.json", "vision_model."
PATCHES = "vision_model.embeddings.patch_embedding.weight"


@dataclass(frozen=True, eq=False)
class Concepts:
    """Directions ``[n, d]`` of CLIP's space, and the cosine ``[n]`` from which each is met."""

    directions: Tensor
    thresholds: Tensor


@dataclass(frozen=True, eq=False)
class SafetyChecker:
    """The vision network with the concepts that it is asked for."""

    tower: VisionTower
    special: Concepts
    """Whose presence makes the check of the others stricter; it alone is no reason."""
    concepts: Concepts

    @classmethod
    def load(cls, path: Path, device: torch.device) -> SafetyChecker:
        """The checker of a file, in float32.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: a weight is missing, or sizes do not fit together.
        """
        weights = read_weights(path)
        inner = {name.removeprefix(PREFIX) if name.count(PREFIX) > 1 else name: t for name, t in weights.items()}
        told = {"hidden_act": "quick_gelu", "num_attention_heads": _heads(inner, path.name), **read_told(path, TOLD)}
        parts = [_concepts(inner, name, path.name) for name in ("special_care_embeds", "concept_embeds")]
        own = {name: t for name, t in inner.items() if name.startswith(("vision_model.", "visual_projection."))}
        return cls(VisionTower.of(own, told, path.name, device, torch.float32), *parts)

    def objects_to(self, image: Image.Image) -> bool:
        """Whether ``image`` (RGB) meets any concept."""
        seen = self.tower.embedding(prepared(image, self.tower.side))[0].float().cpu()
        special, found = ([*map(float, _cosines(seen, part))] for part in (self.special, self.concepts))
        return meets_any(special, self.special.thresholds.tolist(), found, self.concepts.thresholds.tolist())


def meets_any(
    special: list[float], special_thresholds: list[float], concepts: list[float], thresholds: list[float]
) -> bool:
    """The decision upon cosines: a score is what a cosine is above its threshold, and what hits so far have added."""
    stricter = 0.0
    for cosine, threshold in zip(special, special_thresholds, strict=True):
        if round(cosine - threshold + stricter, DIGITS) > 0:
            stricter = STRICTER
    return any(
        round(cosine - threshold + stricter, DIGITS) > 0 for cosine, threshold in zip(concepts, thresholds, strict=True)
    )


def prepared(image: Image.Image, side: int) -> Tensor:
    """The middle of ``image`` (RGB), its shorter side fitted: ``[1, 3, side, side]`` by CLIP's mean and deviation."""
    short = min(image.size)
    width, height = (int(side * length / short) for length in image.size)
    small = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - side) // 2, (height - side) // 2
    values = np.asarray(small.crop((left, top, left + side, top + side)), np.float32) / 255
    shown = torch.from_numpy(normalised(values, CLIP_MEAN, CLIP_DEVIATION))
    return shown.permute(2, 0, 1)[None].contiguous()


def _cosines(seen: Tensor, concepts: Concepts) -> Tensor:
    return F.normalize(concepts.directions, dim=-1) @ F.normalize(seen, dim=-1)


def _heads(weights: Mapping[str, Tensor], file: str) -> int:
    if PATCHES not in weights:
        raise BadModelFile(f"{file}: the safety checker lacks {PATCHES}")
    return max(1, len(weights[PATCHES]) // HEAD_SIZE)


def _concepts(weights: Mapping[str, Any], name: str, file: str) -> Concepts:
    directions, thresholds = weights.get(name), weights.get(f"{name}_weights")
    projection = weights.get("visual_projection.weight")
    if directions is None or thresholds is None or projection is None:
        raise BadModelFile(f"{file}: the safety checker lacks {name}, {name}_weights or visual_projection.weight")
    if directions.shape != (len(thresholds), len(projection)):
        shape = f"{tuple(directions.shape)}, not {(len(thresholds), len(projection))}"
        raise BadModelFile(f"{file}: the safety checker has weights of unexpected shape: {name} is {shape}")
    return Concepts(directions.float().cpu(), thresholds.float().cpu())
