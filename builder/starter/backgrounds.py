"""Names the background of a picture and measures how far every pixel is from it, from a narrow frame along the border.

Takes pixels as RGB 0-1 and as Lab. Knows how the backgrounds of the picture world look to the eye, as plain numbers;
knows neither objects nor the program that draws them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from builder.starter.world import BACKGROUNDS

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Lab = tuple[float, float, float]

FRAME = 0.02  # width of the frame, share of the shorter side
FARTHEST = 30.0  # Lab; a frame farther than this from every known background has no name
STRAY = 18.0  # Lab; frame pixels farther than this from the fitted background do not belong to it
AGREEING = 0.75  # share of the frame that must belong to the fitted background for it to have a name
HORIZON = (0.3, 0.85)  # where a horizon is looked for, share of the height
BLURRED = 0.02  # a horizon is this soft on either side, share of the shorter side

# Upper and lower quarter of the frame in Lab.
_SEEN_AS: Mapping[str, tuple[Lab, Lab]] = {
    "white": ((98, 0, 0), (98, 0, 0)),
    "black": ((5, 0, 0), (5, 0, 0)),
    "gray": ((57, 0, 0), (57, 0, 0)),
    "red": ((46, 66, 45), (46, 66, 45)),
    "blue": ((40, 33, -70), (40, 33, -70)),
    "green": ((55, -48, 37), (55, -48, 37)),
    "yellow": ((88, -5, 80), (88, -5, 80)),
    "pink": ((74, 43, -5), (74, 43, -5)),
    "meadow": ((75, -5, -34), (65, -45, 46)),
    "night": ((7, 10, -24), (18, 14, -31)),
    "sea": ((89, -6, -12), (42, -12, -26)),
    "sand": ((75, -5, -34), (81, 1, 32)),
    "sunset": ((42, 35, -32), (71, 27, 52)),
    "snow": ((68, -1, -15), (96, 0, -3)),
}
_WITH_HORIZON = frozenset({"meadow", "sea", "sand", "snow"})
_NAMES = tuple(name for name in BACKGROUNDS if name in _SEEN_AS)
_PROTOTYPES = np.array([_SEEN_AS[name] for name in _NAMES], np.float32).reshape(-1, 6)


@dataclass(frozen=True)
class Background:
    """What lies behind the objects."""

    name: str | None
    """One of ``world.BACKGROUNDS``; ``None`` if the frame looks like none of them."""
    lab: Floats
    """``[h, w, 3]``, the background as if nothing were in front of it."""
    distance: Floats
    """``[h, w]``, Lab distance of every pixel from the background; at a horizon from all mixtures of its two sides."""


@dataclass(frozen=True)
class _Frame:
    """The pixels along the border."""

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    rgb: Floats
    lab: Floats


def to_lab(rgb: Floats) -> Floats:
    """CIE Lab (D65) of RGB 0-1, ``[h, w, 3]``: L 0-100, a and b about ±100."""
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB), np.float32)


def background_of(rgb: Floats, lab: Floats) -> Background:
    """The background of the picture ``rgb``, which is ``lab`` in the other colour space; both ``[h, w, 3]``."""
    height = rgb.shape[0]
    frame = _frame(rgb, lab)
    looks = np.concatenate(
        [np.median(frame.lab[frame.rows < 0.25 * height], 0), np.median(frame.lab[frame.rows >= 0.75 * height], 0)]
    )
    off = np.sqrt(np.square(_PROTOTYPES - looks).sum(1) / 2)
    name = _NAMES[int(off.argmin())]
    expected, distance = (_two_parts if name in _WITH_HORIZON else _one_part)(frame, rgb, lab)
    agreeing = float((distance[frame.rows, frame.columns] < STRAY).mean())
    known = off.min() <= FARTHEST and agreeing >= AGREEING
    return Background(name if known else None, expected, distance)


def _frame(rgb: Floats, lab: Floats) -> _Frame:
    height, width = rgb.shape[:2]
    thick = max(2, round(FRAME * min(height, width)))
    inside = np.ones((height, width), bool)
    inside[thick:-thick, thick:-thick] = False
    rows, columns = np.nonzero(inside)
    return _Frame(rows, columns, rgb[rows, columns], lab[rows, columns])


def _one_part(frame: _Frame, rgb: Floats, lab: Floats) -> tuple[Floats, Floats]:
    """The expected background in Lab and the distance from it."""
    expected = _plane(frame, np.ones(len(frame.rows), bool), rgb.shape)
    return expected, _distance(lab, expected)


def _two_parts(frame: _Frame, rgb: Floats, lab: Floats) -> tuple[Floats, Floats]:
    """The same for sky above ground."""
    horizon = _horizon(frame, rgb.shape[0])
    soft = max(2, round(BLURRED * min(rgb.shape[:2])))
    sky = _plane(frame, frame.rows < horizon - soft, rgb.shape)
    ground = _plane(frame, frame.rows >= horizon + soft, rgb.shape)
    expected = np.concatenate([sky[:horizon], ground[horizon:]])
    distance = _distance(lab, expected)
    band = slice(horizon - soft, horizon + soft)
    crossed = np.minimum(distance[band.start - 1], distance[band.stop]) > STRAY  # an object reaches over the horizon
    mixtures = _distance_from_mixtures(lab[band], sky[band], ground[band])
    distance[band] = np.where(crossed, distance[band], mixtures)
    return expected, distance


def _horizon(frame: _Frame, height: int) -> int:
    """The first row of the ground: where splitting the frame into two colours leaves the least over."""
    above = np.median(frame.lab[frame.rows < 0.25 * height], 0)
    below = np.median(frame.lab[frame.rows >= 0.75 * height], 0)
    excess = np.linalg.norm(frame.lab - above, axis=1) - np.linalg.norm(frame.lab - below, axis=1)
    left_over = np.cumsum(np.bincount(frame.rows, excess, height))
    first, last = (round(share * height) for share in HORIZON)
    return first + 1 + int(left_over[first:last].argmin())


def _plane(frame: _Frame, part: Mask, shape: tuple[int, ...]) -> Floats:
    """Lab of the even colour gradient through most frame pixels of ``part``, by least absolute deviations."""
    rows, columns, target = frame.rows[part], frame.columns[part], frame.rgb[part].astype(np.float64)
    height, width = shape[:2]
    known = np.stack([np.ones(len(rows)), rows / height - 0.5, columns / width - 0.5], 1)
    weights = np.ones(len(rows))
    for _ in range(5):
        weighted = known * weights[:, None]
        factors = np.linalg.solve(known.T @ weighted + 1e-6 * np.eye(3), weighted.T @ target)
        weights = 1 / np.maximum(np.abs(target - known @ factors).sum(1), 0.01)
    down = (np.arange(height) / height - 0.5)[:, None, None] * factors[1]
    across = (np.arange(width) / width - 0.5)[None, :, None] * factors[2]
    return to_lab(np.clip(factors[0] + down + across, 0, 1).astype(np.float32))


def _distance(lab: Floats, other: Floats) -> Floats:
    off = lab - other
    return np.asarray(np.sqrt(np.einsum("...i,...i", off, off)), np.float32)


def _distance_from_mixtures(lab: Floats, first: Floats, second: Floats) -> Floats:
    """Distance from the line between two colours."""
    line = second - first
    share = ((lab - first) * line).sum(-1) / np.maximum(np.square(line).sum(-1), 1e-6)
    return _distance(lab, first + np.clip(share, 0, 1)[..., None] * line)
