"""Splits what stands out from a background into the regions of single objects, by colour and nearness.

Stripes and dots belong to the object around them, also where they have the background's colour; things of different
colours that touch are parted. What is thin all over, such as the rim of another hue that a blur or a compression leaves
around an object or along a horizon, is no object. Knows no shapes and names no colours.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.starter.palette import WORDS, nearest_words
from builder.starter.patterns import components, with_patterns

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

CONTRAST = 16.0  # Lab; what is farther than this from the background stands out
FAINT = 20.0  # Lab; a thing that stands out by no more than this on the whole is noise
SMALLEST = 0.004  # least area of an object, share of the squared shorter side
LARGE_PART = 0.15  # share of its region that a second colour must reach to be an object of its own
THINNEST = 0.016  # half the thickness of an object where it is thickest, at least; share of the shorter side
INSIDE = 0.5  # share of a second colour inside the hull of the first from which on it is a pattern


def regions_of(lab: Floats, distance: Floats) -> list[Mask]:
    """One mask ``[h, w]`` per object: where ``lab`` ``[h, w, 3]`` is far from the background, flaws left out."""
    short = min(distance.shape)
    smallest = SMALLEST * short**2
    standing_out = (distance > CONTRAST).astype(np.uint8)
    return [
        part
        for component in components(with_patterns(standing_out, smallest), smallest)
        for part in _by_colour(component, lab, smallest)
        if _is_object(part, distance, smallest)
    ]


def _is_object(part: Mask, distance: Floats, smallest: float) -> bool:
    """Whether ``part`` is large, clear and thick enough."""
    clear = distance[part & (distance > CONTRAST)]
    if np.count_nonzero(part) < smallest or not len(clear) or float(np.median(clear)) <= FAINT:
        return False
    left, top, width, height = cv2.boundingRect(part.astype(np.uint8))
    window = np.pad(part[top : top + height, left : left + width], 1).astype(np.uint8)
    depth = cv2.distanceTransform(window, cv2.DIST_L2, cv2.DIST_MASK_3)
    return bool(depth.max() >= THINNEST * min(part.shape))


def _by_colour(component: Mask, lab: Floats, smallest: float) -> Iterator[Mask]:
    """``component`` as it is, or parted where large areas of different colours lie beside each other."""
    words = np.full(component.shape, -1)
    words[component] = nearest_words(lab[component])
    areas = [_opened(words == word) for word in range(len(WORDS))]
    order = sorted((word for word in range(len(WORDS)) if areas[word].any()), key=lambda w: -int(areas[w].sum()))
    if not order:
        yield component
        return
    total = np.count_nonzero(component)
    parts = [areas[order[0]]]
    for word in order[1:]:
        area = areas[word]
        size = np.count_nonzero(area)
        if size >= max(smallest, LARGE_PART * total) and not any(_lies_inside(area, part) for part in parts):
            parts.append(area)
    if len(parts) == 1:
        yield component
        return
    nearest = np.argmin([cv2.distanceTransform(1 - part.astype(np.uint8), cv2.DIST_L2, 3) for part in parts], 0)
    for number in range(len(parts)):
        yield from components(np.asarray((nearest == number) & component, np.uint8), smallest)


def _opened(mask: Mask) -> Mask:
    """Without rims and specks."""
    size = max(3, 2 * round(0.8 * THINNEST * min(mask.shape)) + 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, disc).astype(bool)


def _lies_inside(mask: Mask, other: Mask) -> bool:
    """Whether most of ``mask`` lies in the hull of ``other``."""
    rows, columns = np.nonzero(other)
    hull = cv2.convexHull(np.stack([columns, rows], 1).astype(np.int32))
    inside = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(inside, hull, 1)
    return bool(inside[mask].mean() >= INSIDE)
