"""Whether the objects of a picture are outlines: their background's own colour a little way in from the edge.

Takes an RGB picture; classical image analysis that knows neither captions nor the program that draws. Rings are the
hardest case, so only layers near the edge are looked at: behind an outline's stroke, not yet in the hole of a ring.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from builder.starter.backgrounds import background_of, to_lab
from builder.starter.patterns import components
from builder.starter.regions import CONTRAST

Mask = NDArray[np.bool_]

LEAST_LENGTH = 0.15  # of an object's box, the longer side; share of the picture's shorter side
LAYERS = (0.046, 0.054, 0.062, 0.070)  # depths below an object's edge, share of the picture's shorter side
OPEN = 0.5  # share of one layer that looks like the background in an outline
GAP = 0.05  # half the width of gaps in a stroke that are passed over, share of the picture's shorter side
HAIR = 0.008  # half the width of those that never part two objects, in the same share


def is_outlined(picture: Image.Image) -> bool:
    """Whether ``picture`` has objects and all of them are outlines."""
    rgb = (np.asarray(picture) / 255).astype(np.float32)
    standing_out = background_of(rgb, to_lab(rgb)).distance > CONTRAST
    shares = list(_open_shares(standing_out, GAP, thin=0.0))
    # Across a wide gap a filled object may be joined to an outline beside it, and each hides in the other's share.
    return bool(shares) and min((*shares, *_open_shares(standing_out, HAIR, thin=1.0))) >= OPEN


def _open_shares(standing_out: Mask, gap: float, *, thin: float) -> Iterator[float]:
    """For each object the share of its most open layer that looks like the background.

    What is nearer than two times ``gap`` is one object; ``thin`` stands for the share of what has no such layer.
    """
    short = min(standing_out.shape)
    reach = max(1, round(gap * short))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    joined = cv2.morphologyEx(standing_out.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    for component in components(np.asarray(joined, np.uint8), 0):
        whole = _without_holes(component)
        if max(cv2.boundingRect(whole)[2:]) < LEAST_LENGTH * short:
            continue
        depth = cv2.distanceTransform(whole, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / short
        layers = ((depth >= upper) & (depth < lower) for upper, lower in pairwise(LAYERS))
        yield max((float(1 - standing_out[layer].mean()) for layer in layers if layer.any()), default=thin)


def _without_holes(component: Mask) -> NDArray[np.uint8]:
    contours, _ = cv2.findContours(component.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    whole = np.zeros(component.shape, np.uint8)
    cv2.drawContours(whole, contours, -1, 1, cv2.FILLED)
    return whole
