"""Completes masks of things whose stripes or dots have the background's own colour, such as white dots on white.

Takes and gives masks of 0 and 1, ``[h, w]``. Knows no colours and no shapes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

WIDEST_STRIPE = 0.05  # share of the picture's shorter side; objects keep at least as far apart
SHORTEST_STRIPE = 0.08  # share of the picture's shorter side
LEAST_ELONGATED = 2.2  # length by width of a stripe
PARALLEL = 12.0  # degrees
BESIDE = 0.3  # distance of the middles of neighbouring stripes, at most; share of the picture's shorter side
WIDEST_DOT = 0.2  # share of the object's longer side


def components(mask: Bytes, smallest: float) -> Iterator[Mask]:
    """The connected parts of at least ``smallest`` pixels."""
    count, numbers, figures, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    for number in range(1, count):
        if figures[number, cv2.CC_STAT_AREA] >= smallest:
            yield numbers == number


def with_patterns(mask: Bytes, smallest: float) -> Bytes:
    """``mask`` and what its patterns leave out, in things of at least ``smallest`` pixels."""
    stripes = _stripes(mask)
    filling = np.zeros_like(mask)
    cv2.drawContours(filling, [stripe.contour for stripe in stripes], -1, 1, cv2.FILLED)
    whole = np.asarray(mask | filling, np.uint8)
    for component in components(whole, smallest):
        thing = component.astype(np.uint8)
        reach = math.ceil(max((stripe.width for stripe in stripes if component[stripe.pixel]), default=_dots(thing)))
        if reach:
            whole |= _closed(thing, reach)
    return whole


@dataclass(frozen=True)
class _Stripe:
    """A long gap between two parts of a thing."""

    contour: Any
    x: float
    y: float
    width: float
    degrees: float
    length: float

    @property
    def pixel(self) -> tuple[int, int]:
        """Row and column of one of its pixels."""
        column, row = self.contour[0, 0]
        return int(row), int(column)

    def is_beside(self, other: _Stripe, farthest: float) -> bool:
        """Whether the two run side by side."""
        turn = abs((self.degrees - other.degrees + 90) % 180 - 90)
        return turn < PARALLEL and 0 < math.hypot(self.x - other.x, self.y - other.y) < farthest


def _stripes(mask: Bytes) -> list[_Stripe]:
    """The gaps that are stripes, as two or more run side by side; beside those, half as long a gap is one too."""
    short = min(mask.shape)
    gaps = np.asarray(_closed(mask, max(2, math.ceil(WIDEST_STRIPE * short / 2))) & (1 - mask), np.uint8)
    contours, _ = cv2.findContours(gaps, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    found = []
    for contour in contours:
        (x, y), sides, degrees = cv2.minAreaRect(contour)
        length, width = max(sides) + 1, min(sides) + 1
        if length > SHORTEST_STRIPE * short / 2 and length > LEAST_ELONGATED * width / 1.5:
            found.append(_Stripe(contour, x, y, width, degrees if sides[0] >= sides[1] else degrees + 90, length))
    long = [each for each in found if each.length > max(SHORTEST_STRIPE * short, LEAST_ELONGATED * each.width)]
    sure = [each for each in long if any(each.is_beside(other, BESIDE * short) for other in long)]
    return [each for each in found if any(each.is_beside(other, BESIDE * short) for other in sure)]


def _dots(thing: Bytes) -> float:
    """How far a dot reaches from its middle, if ``thing`` has two or more small holes, else 0."""
    _, _, width, height = cv2.boundingRect(thing)
    contours, levels = cv2.findContours(thing, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    holes = [cv2.boundingRect(contours[i]) for i in range(len(contours)) if levels[0][i][3] >= 0]
    spans = [max(hole[2:]) - 1 for hole in holes]
    dots = [span for span in spans if 3 <= span < WIDEST_DOT * max(width, height)]
    return max(dots) / 2 + 0.5 if len(dots) >= 2 else 0.0


def _closed(mask: Bytes, reach: int) -> Bytes:
    """``mask`` and all where a disc of radius ``reach`` does not fit in between."""
    size = 2 * reach + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    roomy = cv2.copyMakeBorder(mask, size, size, size, size, cv2.BORDER_CONSTANT)
    return np.asarray(cv2.morphologyEx(roomy, cv2.MORPH_CLOSE, disc)[size:-size, size:-size], np.uint8)
