"""Pixels as networks were trained on them: by the mean and deviation of each channel. Knows no network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Channels = tuple[float, float, float]

CLIP_MEAN: Channels = (0.48145466, 0.4578275, 0.40821073)  # of 0–1 RGB (image-control.md §4.1)
CLIP_DEVIATION: Channels = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)  # of 0–1 RGB (image-tools.md §2.1)
IMAGENET_DEVIATION: Channels = (0.229, 0.224, 0.225)


def normalised(values: NDArray[np.floating[Any]], mean: Channels, deviation: Channels) -> NDArray[np.float32]:
    """``values [h, w, 3]`` by mean and deviation, in float32."""
    shifted = values - np.asarray(mean, np.float32)
    return np.asarray(shifted / np.asarray(deviation, np.float32), np.float32)
