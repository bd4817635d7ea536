"""How much of a picture is of one of the world's colours."""

from __future__ import annotations

import numpy as np
from PIL import Image

from builder.starter.world import COLOURS

NEAR = 60  # levels, Euclidean in sRGB


def colour_share(image: Image.Image, colour: str) -> float:
    """Share of the RGB picture's pixels that are near to ``colour``."""
    distance = np.asarray(image, dtype=float) - np.array(COLOURS[colour])
    return float((np.sqrt((distance**2).sum(-1)) < NEAR).mean())
