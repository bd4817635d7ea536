"""Looks at a picture of the small world and says what is in it, by classical image analysis alone.

Takes an RGB picture 96 to 384 pixels high or wide on its shorter side; gives the background and the objects. Never
sees a caption and knows nothing of how pictures are made; what it cannot name, it leaves unnamed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

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
COLOURFUL = 100.0  # Lab chroma at which a tone counts twice its area


@dataclass(frozen=True)
class SeenObject:
    """One object; ``None`` where the picture shows nothing that has a name."""

    colour: str | None
    """One of ``world.COLOURS``."""
    shape: str | None
    """One of ``world.SHAPES``."""


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
    tones = _tones(region, lab)
    cover = _cover(region, tones, lab, background)
    for other in regions:
        if other is not region:
            cover[other] = 0
    left, top, width, height = cv2.boundingRect(region.astype(np.uint8))
    return SeenObject(colour_of(tones[0]), shape_of(_enlarged(cover, (left, top, width, height))))


def _tones(region: Mask, lab: Floats) -> tuple[Floats, ...]:
    """The colours of an object in Lab, ``[3]`` each: one, or the two of a pattern, that which names it first.

    That is the tone of the larger area; of two that are about equal, the more colourful. Soft edges mix the tones of
    a pattern, so each is read in the half of its pixels that differs most from the other.
    """
    inner = _inner(region)
    if 3 * np.count_nonzero(inner) < np.count_nonzero(region):
        inner = region
    colours = lab[inner]
    centres = _two_means(colours)
    along = (colours - centres.mean(0)) @ (centres[1] - centres[0])
    main, marks = sorted((along <= 0, along > 0), key=np.count_nonzero, reverse=True)
    if float(np.linalg.norm(centres[0] - centres[1])) < SECOND_TONE or marks.mean() < LEAST_PATTERN:
        return (np.median(colours, 0),)
    second = np.zeros(region.shape, bool)
    second[inner] = marks
    if 4 * np.count_nonzero(second & _inner(inner)) < np.count_nonzero(second):
        return (np.median(colours[main], 0),)  # a soft rim, no pattern
    first, other = (np.median(colours[part & (abs(along) >= np.median(abs(along[part])))], 0) for part in (main, marks))
    return (first, other) if main.mean() * _liveliness(first) >= marks.mean() * _liveliness(other) else (other, first)


def _liveliness(tone: Floats) -> float:
    return 1 + math.hypot(tone[1], tone[2]) / COLOURFUL


def _inner(region: Mask) -> Mask:
    return cv2.erode(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def _two_means(colours: Floats) -> Floats:
    """Middles ``[2, 3]`` of the two clusters of ``colours`` ``[n, 3]``, started from the ends of their longest axis."""
    off = colours - colours.mean(0)
    axis = np.linalg.eigh(off.T @ off)[1][:, -1]
    along = off @ axis
    low, high = np.percentile(along, (10, 90))
    centres = np.stack([colours[along <= low].mean(0), colours[along >= high].mean(0)])
    total = colours.sum(0)
    for _ in range(6):
        second = ((colours - centres.mean(0)) @ (centres[1] - centres[0]) > 0).astype(np.float32)
        number = float(second.sum())
        if number in (0, len(colours)):
            break
        near_second = second @ colours
        centres = np.stack([(total - near_second) / (len(colours) - number), near_second / number])
    return np.asarray(centres, np.float32)


def _cover(region: Mask, tones: Sequence[Floats], lab: Floats, background: Background) -> Floats:
    """How much of every pixel ``[h, w]`` the object covers, 0-1: how far its colour is on the way to a tone's."""
    near = cv2.dilate(region.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    behind = background.lab[near]
    off = lab[near] - behind
    ways = [tone - behind for tone in tones]
    shares = [_dot(off, way) / np.maximum(_dot(way, way), CONTRAST**2) for way in ways]
    cover = np.zeros(region.shape, np.float32)
    cover[near] = np.clip(np.max(shares, 0), 0, 1)
    if len(tones) > 1:
        cover[_inner(region) | (region & (background.distance <= CONTRAST))] = 1
    return cover


def _dot(left: Floats, right: Floats) -> Floats:
    """Row by row."""
    return np.asarray(np.einsum("ij,ij->i", left, right), np.float32)


def _enlarged(cover: Floats, box: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    """The object in ``box`` (left, top, width, height), ``ACROSS`` pixels across: where ``cover`` exceeds one half."""
    x, y, width, height = box
    window = np.pad(cover, 4)[y : y + height + 8, x : x + width + 8]
    factor = ACROSS / max(width, height)
    large = cv2.resize(window, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (SPECK, SPECK))
    return np.asarray(cv2.morphologyEx((large > 0.5).astype(np.uint8), cv2.MORPH_OPEN, disc), np.uint8)
