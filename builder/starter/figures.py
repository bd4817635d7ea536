"""The outlines that words such as star or heart mean, as plain geometry, and how far an outline is from each.

An outline is compared by its profile: how far it reaches from its centroid in every direction, in units of the radius
of the disc of equal area. Place and size drop out; that an edge is wavy or a corner blunt changes a profile little,
while another figure differs from it all around. Every ideal figure is held as sharp as geometry has it and as seen
through two blurs, which blunt its points and fill its notches; small turns are passed over. Knows no colours, no
pictures, and not the program that draws them.
"""

from __future__ import annotations

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

DIRECTIONS = 72  # of a profile
TURNS = (-2, -1, 0, 1, 2)  # directions that a figure may be turned by
ACROSS = 128  # pixels that an ideal figure is drawn in, three quarters of them its own
# Chosen so that distorted figures keep their names and impostors get none, both as the tests draw them.
STRAY = 0.055  # of any profile
SLANT = 0.28  # of a figure's profile, share of its deviation from a disc's
BLURS = (0.0, 0.04, 0.08)  # deviation, share of the width


def profile(mask: Bytes) -> Floats:
    """How far the thing in ``mask``, ``[h, w]`` of 0 and 1 without holes, reaches in every direction, ``[72]``."""
    moments = cv2.moments(mask, binaryImage=True)
    centre = moments["m10"] / moments["m00"], moments["m01"] / moments["m00"]
    farthest = math.hypot(*mask.shape)
    steps = math.ceil(farthest)
    rays = cv2.warpPolar(255 * mask, (steps, DIRECTIONS), centre, farthest, cv2.INTER_LINEAR | cv2.WARP_FILL_OUTLIERS)
    lengths = rays.sum(1) / 255
    return np.asarray(lengths / math.sqrt(np.square(lengths).mean()), np.float32)


def tolerance(name: str) -> float:
    """How far a profile may be from the figure's: the more by which that one's edges are aslant of a disc's."""
    sharp = _profiles()[list(_OUTLINES).index(name), len(TURNS) // 2]
    return STRAY + SLANT * float(sharp.std())


def distances(measured: Floats) -> dict[str, float]:
    """How far the profile ``measured`` is from each figure's: the root mean square of the difference."""
    off = np.sqrt(np.square(_profiles() - measured).mean(-1)).min(-1)
    return dict(zip(_OUTLINES, off.tolist(), strict=True))


@cache
def _profiles() -> Floats:
    """Of every figure, blurred and turned: ``[figures, blurs · turns, 72]``."""
    return np.stack(
        [
            [np.roll(profile(_drawn(outline, blur)), turn) for blur in BLURS for turn in TURNS]
            for outline in _OUTLINES.values()
        ]
    ).astype(np.float32)


def _drawn(outline: Floats, blur: float) -> Bytes:
    large = np.zeros((ACROSS, ACROSS), np.uint8)
    points = np.round((outline * 0.375 + 0.5) * ACROSS).astype(np.int32)
    cv2.fillPoly(large, [points], 255)
    if blur:
        large = np.asarray(cv2.GaussianBlur(large, (0, 0), blur * 0.75 * ACROSS), np.uint8)
    return (large > 127).astype(np.uint8)


def _regular(corners: int, inner: float = 1.0, turn: float = 0.0) -> Floats:
    """Corners on a circle, the first above the middle, and between them, if ``inner`` is less, points on a smaller."""
    angles = np.arange(2 * corners) * math.pi / corners + math.radians(turn)
    reach = np.tile([1.0, inner], corners)
    points = np.stack([reach * np.sin(angles), -reach * np.cos(angles)], 1)
    return np.asarray(points[:: 1 if inner < 1 else 2], np.float32)


def _heart() -> Floats:
    """Two discs beside each other that just overlap, and the tangents from their outer sides to a tip below."""
    x, y, radius, tip = 0.5, -0.35, 0.52, 0.9  # nearest to the heart curve x = 16 sin³ t
    first = -math.acos(-x / radius)  # where the discs meet above
    last = math.atan2(y - tip, x) + math.pi - math.acos(radius / math.hypot(x, tip - y))
    arc = np.linspace(first, last, 30)
    right = np.stack([x + radius * np.cos(arc), y + radius * np.sin(arc)], 1)
    return np.asarray(np.concatenate([right, [(0.0, tip)], right[::-1] * (-1, 1)]), np.float32)


def _cross(arm: float) -> Floats:
    quarter = np.array([(arm, -1), (arm, -arm), (1, -arm)])
    turns = [np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) for a in np.arange(4) * math.pi / 2]
    return np.concatenate([quarter @ turn.T for turn in turns]).astype(np.float32)


_OUTLINES = {
    "circle": _regular(90),
    "square": _regular(4, turn=45),
    "diamond": _regular(4) * np.array((0.8, 1), np.float32),
    "triangle": _regular(3),
    "star": _regular(5, 0.4),
    "cross": _cross(1 / 3),
    "heart": _heart(),
}
"""Corners ``[n, 2]``, column before row, between −1 and 1."""
