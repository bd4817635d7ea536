"""Pictures as they are meant to be seen: what EXIF says of how the camera was held (EXIF 2.3 §4.6.4, tag 0x0112)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from types import MappingProxyType

from PIL import Image
from PIL.Image import Transpose

ORIENTATION = 0x0112
UPRIGHT: Mapping[int, Transpose] = MappingProxyType(
    {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
)
"""Value of the tag → what sets a picture upright; 1 and values that mean nothing need no turn."""

logger = logging.getLogger(__name__)


def orientation(image: Image.Image) -> int:
    """The tag of a loaded picture; 1 where there is none, or none readable: the pixels are fine all the same."""
    try:
        found = image.getexif().get(ORIENTATION, 1)
    except Exception as error:  # Pillow's reader raises whatever it stumbles over
        logger.info("EXIF that cannot be read: %s: %s", type(error).__name__, error)
        return 1
    return found if isinstance(found, int) else 1


def upright(image: Image.Image, tag: int) -> Image.Image:
    """``image`` turned or mirrored as ``tag`` says."""
    return image.transpose(UPRIGHT[tag]) if tag in UPRIGHT else image
