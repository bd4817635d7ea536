"""A face cut out and turned upright, by its landmarks (image-control.md §5). Knows nothing of how they were found."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE = 512  # pixels
TEMPLATE = (
    (192.98138, 239.94708),
    (318.90277, 240.1936),
    (256.63416, 314.01935),
    (201.26117, 371.41043),
    (313.08905, 371.15118),
)
"""Where the eyes, the nose and the corners of the mouth come to lie."""
OUTSIDE = (132, 133, 135)  # red, green and blue beyond the picture


def aligned(image: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The face of RGB ``image [h, w, 3]`` as ``[512, 512, 3]``: turned, scaled and moved, not distorted.

    ``landmarks [5, 2]`` are x and y in pixels. Where they allow no such movement, as all in one point, the image is
    given back as it is.
    """
    points = np.array(TEMPLATE, np.float32)
    movement: Any = cv2.estimateAffinePartial2D(landmarks, points, method=cv2.LMEDS)[0]
    if movement is None:
        return image
    return np.asarray(
        cv2.warpAffine(image, movement, (SIDE, SIDE), borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE), np.uint8
    )
