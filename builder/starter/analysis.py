"""Looks at a picture of the small world and says what is in it, by classical image analysis alone.

Takes an RGB picture 96 to 384 pixels high or wide on its shorter side; gives the background and the objects. Never
sees a caption and knows nothing of how pictures are made; what it cannot name, it leaves unnamed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from builder.starter.backgrounds import Background, background_of, to_lab
from builder.starter.contours import shape_of
from builder.starter.palette import colour_of
from builder.starter.regions import CONTRAST, regions_of

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

ACROSS = 72  # pixels along the longer side of the enlarged mask whose contour is measured
SPECK = 5  # pixels; what is narrower in the enlarged mask, such as a star of the night that touches it, is left out
SECOND_TONE = 25.0  # Lab; two tones of an object farther apart than this make a pattern
LEAST_PATTERN = 0.1  # share of the second tone in a pattern
LONG_PIECE = 2.3  # length by width from which on the pieces of a pattern are stripes


@dataclass(frozen=True)
class SeenObject:
    """One object; ``None`` where the picture shows nothing that has a name."""

    colour: str | None
    """One of ``world.COLOURS``."""
    shape: str | None
    """One of ``world.SHAPES``."""
    fill: str
    """One of ``world.FILLS``; a guess on small pictures."""
    x: float
    y: float
    """Middle of the box, from the picture's upper left corner, shares of its shorter side."""
    radius: float
    """Half of the longer side of the box, share of the picture's shorter side."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom in pixels; right and bottom exclusive."""
    mask: Mask = field(compare=False, repr=False)
    """``[h, w]``, the object's pixels, patterns included."""


@dataclass(frozen=True)
class Seen:
    """What is in a picture."""

    background: str | None
    """One of ``world.BACKGROUNDS``; ``None`` if it looks like none of them."""
    objects: tuple[SeenObject, ...]
    """The largest first."""


def analyse(picture: Image.Image) -> Seen:
    """What is in ``picture`` (RGB)."""
    rgb = (np.asarray(picture) / 255).astype(np.float32)
    lab = to_lab(rgb)
    background = background_of(rgb, lab)
    regions = sorted(regions_of(lab, background.distance), key=np.count_nonzero, reverse=True)
    return Seen(background.name, tuple(_described(region, regions, lab, background) for region in regions))


def _described(region: Mask, regions: Sequence[Mask], lab: Floats, background: Background) -> SeenObject:
    x, y, width, height = cv2.boundingRect(region.astype(np.uint8))
    short = min(region.shape)
    tones = _tones(region, lab)
    cover = _cover(region, tones, lab, background)
    for other in regions:
        if other is not region:
            cover[other] = 0
    return SeenObject(
        colour=colour_of(tones.lab[0]),
        shape=shape_of(_enlarged(cover, (x, y, width, height))),
        fill=_fill_of(tones, short),
        x=(x + width / 2) / short,
        y=(y + height / 2) / short,
        radius=max(width, height) / 2 / short,
        box=(x, y, x + width, y + height),
        mask=region,
    )


@dataclass(frozen=True)
class _Tones:
    """The two colours of an object."""

    lab: tuple[Floats, ...]
    """``[3]``, one or two, that of the larger area first."""
    second: Mask
    """``[h, w]``; empty for a plain object."""


def _tones(region: Mask, lab: Floats) -> _Tones:
    inner = _inner(region)
    if 3 * np.count_nonzero(inner) < np.count_nonzero(region):
        inner = region
    colours = lab[inner]
    centres = _two_means(colours)
    nearer = np.square(colours - centres[1]).sum(1) < np.square(colours - centres[0]).sum(1)
    if nearer.mean() > 0.5:
        nearer = ~nearer
    second = np.zeros(region.shape, bool)
    if float(np.linalg.norm(centres[0] - centres[1])) < SECOND_TONE or nearer.mean() < LEAST_PATTERN:
        return _Tones((np.median(colours, 0),), second)
    second[inner] = nearer
    if 4 * np.count_nonzero(second & _inner(inner)) < np.count_nonzero(second):
        return _Tones((np.median(colours[~nearer], 0),), np.zeros(region.shape, bool))  # a soft rim, no pattern
    return _Tones((np.median(colours[~nearer], 0), np.median(colours[nearer], 0)), second)


def _inner(region: Mask) -> Mask:
    return cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def _two_means(colours: Floats) -> Floats:
    """Middles ``[2, 3]`` of the two clusters of ``colours`` ``[n, 3]``, started from the ends of their longest axis."""
    off = colours - colours.mean(0)
    axis = np.linalg.eigh(off.T @ off)[1][:, -1]
    along = off @ axis
    low, high = np.percentile(along, (10, 90))
    centres = np.stack([colours[along <= low].mean(0), colours[along >= high].mean(0)])
    for _ in range(6):
        second = np.square(colours - centres[1]).sum(1) < np.square(colours - centres[0]).sum(1)
        if second.all() or not second.any():
            break
        centres = np.stack([colours[~second].mean(0), colours[second].mean(0)])
    return centres


def _cover(region: Mask, tones: _Tones, lab: Floats, background: Background) -> Floats:
    """How much of every pixel ``[h, w]`` the object covers, 0-1: how far its colour is on the way to a tone's."""
    near = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    behind = background.lab[near]
    off = lab[near] - behind
    ways = [tone - behind for tone in tones.lab]
    shares = [(off * way).sum(1) / np.maximum(np.square(way).sum(1), CONTRAST**2) for way in ways]
    cover = np.zeros(region.shape, np.float32)
    cover[near] = np.clip(np.max(shares, 0), 0, 1)
    if len(tones.lab) > 1:
        cover[_inner(region) | (region & (background.distance <= CONTRAST))] = 1
    return cover


def _enlarged(cover: Floats, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The object in ``box`` (left, top, width, height), ``ACROSS`` pixels across: where ``cover`` exceeds one half."""
    x, y, width, height = box
    window = np.pad(cover, 4)[y : y + height + 8, x : x + width + 8]
    factor = ACROSS / max(width, height)
    large = cv2.resize(window, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (SPECK, SPECK))
    return np.asarray(cv2.morphologyEx((large > 0.5).astype(np.uint8), cv2.MORPH_OPEN, disc), np.uint8)


def _fill_of(tones: _Tones, short: int) -> str:
    """By the form of the second tone's pieces."""
    contours, _ = cv2.findContours(tones.second.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    lengths, areas = [], []
    for contour in contours:
        _, sides, _ = cv2.minAreaRect(contour)
        if (max(sides) + 1) * (min(sides) + 1) >= 4 * (short / 128) ** 2:
            lengths.append((max(sides) + 1) / (min(sides) + 1))
            areas.append(len(contour))
    if not lengths:
        return "plain"
    return "striped" if np.average(lengths, weights=areas) > LONG_PIECE else "dotted"
