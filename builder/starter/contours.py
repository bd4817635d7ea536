"""Names the shape of a mask by measures of its contour: holes, notches, and how well simple figures enclose it.

Knows geometry only: no colours, no pictures, and not the program that draws them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[Any]
"""Corners of a contour as OpenCV has them, ``[n, 1, 2]``, column before row."""
Outline = tuple[Points, Points | None]
"""Outer contour and the largest hole."""

SMALLEST_HOLE = 0.1  # share of the area inside the outer contour; less is a flaw or a dot
NOTCH = 0.085  # depth of a notch, share of the root of the hull's area; stars, crosses and hearts have about 0.26
FARTHEST = 0.22  # a convex mask farther than this from every figure has no name
LEAST_FILLED = 0.05  # share of the mask; nothing smaller has a name
LONGEST = 1.5  # length by width of the box; nothing longer has a name

# Share of the least enclosing circle, triangle and upright box that each convex figure fills; three times the distance
# of its centroid from the middle of the box, share of the longer side. Corners are taken as slightly blunt.
_ENCLOSED: Mapping[str, tuple[float, float, float, float]] = {
    "circle": (1.0, 0.61, 0.785, 0.0),
    "square": (0.65, 0.52, 1.0, 0.0),
    "diamond": (0.57, 0.53, 0.55, 0.0),
    "triangle": (0.47, 0.98, 0.55, 0.42),
}


def shape_of(mask: NDArray[np.uint8]) -> str | None:
    """The name in ``world.SHAPES`` for the largest part of ``mask``, ``[h, w]``; ``None`` if it looks like none.

    The mask should be about 60 pixels or more across and keep off the border.
    """
    outline = _outline(mask)
    if outline is None:
        return None
    outer, hole = outline
    _, _, width, height = cv2.boundingRect(outer)
    if max(width, height) > LONGEST * min(width, height):
        return None
    if hole is not None:
        return "ring" if _is_ring(outer, hole) else None
    notches = _notches(outer)
    match len(notches):
        case 0:
            return _convex_figure(outer)
        case 1:
            return "heart" if _is_heart(outer, notches[0]) else None
        case 4:
            return "cross" if _is_regular(outer, notches) else None
        case 5:
            return "star" if _is_regular(outer, notches) else None
        case _:
            return None


def _outline(mask: NDArray[np.uint8]) -> Outline | None:
    contours, levels = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if not contours:
        return None
    areas = [cv2.contourArea(contour) for contour in contours]
    if max(areas) < LEAST_FILLED * mask.size:
        return None
    outer = max((i for i in range(len(contours)) if levels[0][i][3] < 0), key=areas.__getitem__)
    holes = [i for i in range(len(contours)) if levels[0][i][3] == outer]
    largest = max(holes, key=areas.__getitem__, default=outer)
    has_hole = largest != outer and areas[largest] >= SMALLEST_HOLE * areas[outer]
    return contours[outer], contours[largest] if has_hole else None


def _is_ring(outer: Points, hole: Points) -> bool:
    """Whether a round hole lies in the middle of something round."""
    (x, y), radius = cv2.minEnclosingCircle(outer)
    (hole_x, hole_y), _ = cv2.minEnclosingCircle(hole)
    centred = math.hypot(x - hole_x, y - hole_y) < 0.2 * radius
    return centred and _filled_circle(outer) > 0.85 and _filled_circle(hole) > 0.7


def _filled_circle(contour: Points) -> float:
    """Share of the least enclosing circle that is filled."""
    _, radius = cv2.minEnclosingCircle(contour)
    return cv2.contourArea(contour) / (math.pi * radius**2)


def _notches(outer: Points) -> list[tuple[float, float]]:
    """The deepest points of the notches, the parts of the contour that lie far inside of its convex hull."""
    points = outer[:, 0].astype(np.float64)
    corners = np.sort(cv2.convexHull(outer, returnPoints=False).ravel())  # OpenCV's own search for notches wants order
    least = NOTCH * math.sqrt(cv2.contourArea(outer[corners]))
    edge = np.searchsorted(corners, np.arange(len(points)), "right") - 1
    start, end = points[corners[edge]], points[np.roll(corners, -1)[edge]]
    along, off = end - start, points - start
    depth = np.abs(along[:, 0] * off[:, 1] - along[:, 1] * off[:, 0]) / np.maximum(np.hypot(*along.T), 1e-6)
    notched = np.unique(edge[depth >= least])
    deepest = [int(np.where(edge == number, depth, -1).argmax()) for number in notched]
    return [(float(points[i, 0]), float(points[i, 1])) for i in deepest]


def _centroid(contour: Points) -> tuple[float, float]:
    moments = cv2.moments(contour)
    return moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]


def _is_regular(outer: Points, notches: Sequence[tuple[float, float]]) -> bool:
    """Whether the notches lie evenly around the middle."""
    x, y = _centroid(outer)
    angles = np.sort([math.atan2(notch[1] - y, notch[0] - x) for notch in notches])
    gaps = np.diff(np.append(angles, angles[0] + 2 * math.pi))
    even = 2 * math.pi / len(notches)
    return bool(np.all(np.abs(gaps - even) < 0.4 * even))


def _is_heart(outer: Points, notch: tuple[float, float]) -> bool:
    """Whether two broad lobes stand on one narrow end: a short notch in the middle of the upper side."""
    x, y, width, height = cv2.boundingRect(outer)
    low = outer[outer[:, 0, 1] > y + 0.85 * height, 0, 0]
    area = cv2.contourArea(outer)
    upright = abs(notch[0] - x - width / 2) < 0.12 * width and notch[1] < y + 0.35 * height
    broad = area > 0.83 * cv2.contourArea(cv2.convexHull(outer)) and 0.5 < area / (width * height) < 0.75
    return upright and broad and float(np.ptp(low)) < 0.45 * width


def _convex_figure(outer: Points) -> str | None:
    """The figure that is enclosed in the same way."""
    hull = cv2.convexHull(outer)
    area = cv2.contourArea(hull)
    triangle, _ = cv2.minEnclosingTriangle(cv2.approxPolyDP(hull, 1.0, True))  # misses the least one of ragged hulls
    left, top, width, height = cv2.boundingRect(hull)
    x, y = _centroid(hull)
    aside = math.hypot(x - left - (width - 1) / 2, y - top - (height - 1) / 2) / max(width, height)
    measured = (_filled_circle(hull), area / max(triangle, 1.0), area / max((width - 1) * (height - 1), 1), 3 * aside)
    off = {name: math.dist(measured, figure) for name, figure in _ENCLOSED.items()}
    nearest = min(off, key=off.__getitem__)
    return nearest if off[nearest] <= FARTHEST else None
