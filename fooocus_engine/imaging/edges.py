"""PyraCanny: the edges of a picture, found at nine sizes and weighed together (image-control.md §1).

Takes a picture that already has the canvas's size; knows neither requests nor the network that follows the edges.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fooocus_engine.imaging.levels import stretched

LOW, HIGH = 64, 128  # thresholds of Canny's hysteresis that a request does not give
SIZES = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # of the picture, coarsest first
KEPT = 0.75  # of what coarser sizes have found, at every further size
DARK, BRIGHT = 1, 99  # percentiles that become 0 and 255

Plane = NDArray[np.float32]


def pyra_canny(image: NDArray[np.uint8], low: float = LOW, high: float = HIGH) -> NDArray[np.uint8]:
    """The edge map ``[h, w]`` of an RGB ``image [h, w, 3]``, 255 = surely an edge; all 0 where there are no edges.

    ``low`` and ``high`` are cut to whole numbers. Needs at least 5×5 pixels.
    """
    height, width = image.shape[:2]
    found: Plane | None = None
    for share in SIZES:
        size = int(width * share), int(height * share)
        edges = _canny(cv2.resize(image, size, interpolation=cv2.INTER_AREA), int(low), int(high))
        if found is None:
            found = edges
        else:
            coarser = cv2.resize(found, size, interpolation=cv2.INTER_LINEAR)
            found = np.asarray(KEPT * coarser + (1 - KEPT) * edges, np.float32)
    assert found is not None
    return stretched(np.sum(found, axis=2), DARK, BRIGHT)


def _canny(image: NDArray[Any], low: int, high: int) -> Plane:
    """Edges of each channel, 0 or 1, ``[h, w, 3]`` (aperture 3, L1 gradient)."""
    planes = [cv2.Canny(np.ascontiguousarray(image[..., channel]), low, high) for channel in range(image.shape[2])]
    return (np.stack(planes, axis=2) > 0).astype(np.float32)
