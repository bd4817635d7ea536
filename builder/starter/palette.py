"""Names colours as a person would: ordinary colour words as plain Lab numbers, and the nearest one to a colour.

Also tells how much of a picture is near to one of the world's own colours.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from builder.starter.world import COLOURS

Floats = NDArray[np.float32]

FARTHEST = 33.0  # Lab; a colour farther than this from every word has no name
NEAR = 60  # levels, Euclidean in sRGB

_WORDS: Mapping[str, tuple[float, float, float]] = {
    "red": (46, 66, 45),
    "orange": (69, 32, 70),
    "yellow": (88, -5, 80),
    "green": (55, -48, 37),
    "blue": (40, 33, -70),
    "purple": (35, 52, -48),
    "pink": (74, 43, -5),
    "brown": (34, 17, 28),
    "black": (6, 0, 0),
    "white": (98, 0, 0),
    "gray": (57, 0, 0),
}
"""CIE Lab (D65)."""
WORDS = tuple(_WORDS)
_LAB = np.array([_WORDS[word] for word in WORDS], np.float32)


def nearest_words(lab: Floats) -> NDArray[np.intp]:
    """Index in ``WORDS`` of the nearest colour for each row of ``lab``, ``[n, 3]``."""
    # |lab - word|² without the part that is equal for all words
    return np.asarray((np.square(_LAB).sum(1) - 2 * lab @ _LAB.T).argmin(1))


def colour_of(lab: Floats) -> str | None:
    """The name in ``world.COLOURS`` for one colour, ``[3]``; ``None`` for gray and for what is far from every word."""
    off = np.linalg.norm(_LAB - lab, axis=1)
    word = WORDS[int(off.argmin())]
    return word if word in COLOURS and off.min() <= FARTHEST else None


def colour_share(image: Image.Image, colour: str) -> float:
    """Share of the RGB picture's pixels that are near to ``colour``, one of ``world.COLOURS``."""
    distance = np.asarray(image, dtype=float) - np.array(COLOURS[colour])
    return float((np.sqrt((distance**2).sum(-1)) < NEAR).mean())
