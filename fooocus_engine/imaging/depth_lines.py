"""CPDS: a picture in grey that keeps apart what differs in colour alone (image-control.md §2).

The contrast-preserving decolorization of Lu, Xu and Jia (2012, IEEE ICCP) as OpenCV computes it, and how far the colour
of each pixel lies from it. Takes a picture that already has the canvas's size; knows neither requests nor networks.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from fooocus_engine.imaging.levels import stretched

BLUR = 0.8  # standard deviation in pixels
DARK, BRIGHT = 4, 96  # percentiles that become 0 and 255


def cpds(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The structure ``[h, w]`` of an RGB ``image [h, w, 3]``."""
    smooth = cv2.GaussianBlur(image, (0, 0), BLUR)
    # OpenCV takes the channels for blue, green and red; the reference passes them as they are, and so do we.
    density, boost = cv2.decolor(smooth)
    distance = smooth.astype(np.float32) - boost.astype(np.float32)
    return stretched(density.astype(np.float32) + np.sqrt(np.sum(distance**2, axis=2)), DARK, BRIGHT)
