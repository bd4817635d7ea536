"""Names the shape of a mask: the ideal figure whose profile is nearest to that of its outer contour, and its hole.

A mask that is far from every figure has no name, nor has one that lies between two of them. Knows geometry only: no
colours, no pictures, and not the program that draws them.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.starter.figures import distances, profile, tolerance

Bytes = NDArray[np.uint8]
Contour = NDArray[Any]
"""Corners as OpenCV has them, ``[n, 1, 2]``, column before row."""

CLEAR = 0.8  # distance from the nearest figure by that from the second one, at most
LEAST_FILLED = 0.05  # share of the mask; nothing smaller has a name
SMALLEST_HOLE = 0.1  # share of the area inside the outer contour; less is a flaw or a dot
HOLE = 2.5  # the hole of a ring is smaller, so that waves of its edge weigh more
OFF_CENTRE = 0.2  # distance of the middles of a ring and its hole, share of the ring's radius, at most


def shape_of(mask: Bytes) -> str | None:
    """The name in ``world.SHAPES`` for the largest part of ``mask``, ``[h, w]``; ``None`` if it looks like none.

    The mask should be about 60 pixels or more across and keep off the border.
    """
    contours, levels = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    areas = [cv2.contourArea(contour) for contour in contours]
    if max(areas, default=0.0) < LEAST_FILLED * mask.size:
        return None
    outer = max((i for i in range(len(contours)) if levels[0][i][3] < 0), key=areas.__getitem__)
    holes = [i for i in range(len(contours)) if levels[0][i][3] == outer]
    largest = max(holes, key=areas.__getitem__, default=outer)
    name = _figure(contours[outer], mask)
    if largest == outer or areas[largest] < SMALLEST_HOLE * areas[outer]:
        return name
    return "ring" if name == "circle" and _is_ring(contours[outer], contours[largest], mask) else None


def _figure(contour: Contour, mask: Bytes) -> str | None:
    """The figure that the inside of ``contour`` is."""
    off = distances(profile(_inside(contour, mask)))
    nearest, second = sorted(off, key=off.__getitem__)[:2]
    return nearest if off[nearest] <= min(tolerance(nearest), CLEAR * off[second]) else None


def _is_ring(outer: Contour, hole: Contour, mask: Bytes) -> bool:
    """Whether ``hole`` is round and lies in the middle of ``outer``, which is."""
    (x, y), radius = cv2.minEnclosingCircle(outer)
    (hole_x, hole_y), _ = cv2.minEnclosingCircle(hole)
    centred = math.hypot(x - hole_x, y - hole_y) < OFF_CENTRE * radius
    return centred and distances(profile(_inside(hole, mask)))["circle"] <= HOLE * tolerance("circle")


def _inside(contour: Contour, mask: Bytes) -> Bytes:
    whole = np.zeros_like(mask)
    cv2.drawContours(whole, [contour], -1, 1, cv2.FILLED)
    return whole
