"""Outpainting: how far a picture grows on each side, and the picture and mask that grow (image-inpaint.md §2).

Knows neither requests nor the filling of what is new.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from fooocus_engine.imaging.masks import WHITE, Mask
from fooocus_engine.types import Margins

DEFAULT_SHARE = 0.3  # of the picture's own height or width


def default_distance(length: int) -> int:
    """Pixels added where no distance is asked for; ``length`` is the picture's height above and below, else its width.

    A picture of up to 3 pixels grows by none.
    """
    return int(DEFAULT_SHARE * length)


def outpainted(image: Image.Image, mask: Mask, margins: Margins) -> tuple[Image.Image, Mask]:
    """``image`` (RGB) with its edge repeated outwards, and ``mask`` white there."""
    if not margins:
        return image, mask
    sides = (margins.top, margins.bottom), (margins.left, margins.right)
    grown = np.pad(np.asarray(image), (*sides, (0, 0)), mode="edge")
    return Image.fromarray(grown), np.pad(mask, sides, constant_values=WHITE)
