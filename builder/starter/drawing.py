"""Scenes to pixels, anti-aliased: drawn three times as large with Pillow, then averaged down.

Objects are filled, or outlines of their colour with the background inside.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

import cv2
import numpy as np
from PIL import Image, ImageDraw

from builder.starter.world import COLOURS, PLACES, SIZES, Group, Scene

FINER = 3  # drawn this many times as large
MARGIN = 0.035  # free space around an object, corners beyond its radius included; share of the shorter side
STROKE = 0.034  # width of an outline, share of the shorter side
GRAY = (136, 136, 136)
Point = tuple[float, float]
Rgb = tuple[int, int, int]
Style = Literal["filled", "outline"]


@dataclass(frozen=True)
class Placed:
    """An object in its place; shares of the picture's shorter side, from its upper left corner."""

    group: Group
    x: float
    y: float
    radius: float


def picture(scene: Scene, size: tuple[int, int], random: Random, style: Style = "filled") -> Image.Image:
    """The scene as an RGB image of ``size`` (width, height) pixels; ``random`` decides what the scene leaves open.

    Equal states of ``random`` put equal objects in equal places, whatever the style.
    """
    objects = arranged(scene, size, random)
    large = Image.new("RGB", (size[0] * FINER, size[1] * FINER))
    _draw_background(large, scene.background, random)
    for thing in objects:
        _draw_object(large, thing, style)
    return large.reduce(FINER)


def arranged(scene: Scene, size: tuple[int, int], random: Random) -> list[Placed]:
    """Every object in a place of its own, none touching another or the border; smaller where there is no room."""
    short = min(size)
    width, height = size[0] / short, size[1] / short
    shrink = 1.0
    while True:
        for _ in range(12):
            placed = _attempt(scene, (width, height), shrink, random)
            if placed is not None:
                return placed
        shrink *= 0.93


def _attempt(scene: Scene, extent: Point, shrink: float, random: Random) -> list[Placed] | None:
    placed: list[Placed] = []
    for index, group in enumerate(scene.groups):
        low, high = SIZES[group.size]
        radius = random.uniform(low, high) * shrink
        for _ in range(group.number):
            spot = _free_spot(placed, radius, _area(scene, index, extent), extent, random)
            if spot is None:
                return None
            placed.append(Placed(group, *spot, radius))
    return placed


def _area(scene: Scene, index: int, extent: Point) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of where a group's middles may lie; places are exact up to a few hundredths."""
    width, height = extent
    group = scene.groups[index]
    if group.place is not None:
        x, y = PLACES[group.place]
        return x * width - 0.03, y * height - 0.03, x * width + 0.03, y * height + 0.03
    first = index == 0
    match scene.relation:
        case "left" | "right":
            leftmost = first == (scene.relation == "left")
            return (0, 0, width * 0.42, height) if leftmost else (width * 0.58, 0, width, height)
        case "above" | "below":
            highest = first == (scene.relation == "above")
            return (0, 0, width, height * 0.42) if highest else (0, height * 0.58, width, height)
        case None:
            return 0, 0, width, height


def _free_spot(
    placed: Sequence[Placed], radius: float, area: tuple[float, float, float, float], extent: Point, random: Random
) -> Point | None:
    left, top, right, bottom = area
    for _ in range(20):
        x = _inside(random.uniform(left, right), radius, extent[0])
        y = _inside(random.uniform(top, bottom), radius, extent[1])
        if all(math.hypot(x - other.x, y - other.y) > radius + other.radius + 2 * MARGIN for other in placed):
            return x, y
    return None


def _inside(value: float, radius: float, length: float) -> float:
    """``value`` moved so that the object keeps off the picture's border."""
    return min(max(value, radius + MARGIN), length - radius - MARGIN)


def _draw_background(image: Image.Image, background: str, random: Random) -> None:
    draw = ImageDraw.Draw(image)
    width, height = image.size
    match background:
        case "meadow":
            _gradient(draw, image.size, (120, 186, 246), (186, 222, 252))
            _ground(draw, image.size, random, (96, 176, 70))
        case "night":
            _gradient(draw, image.size, (10, 14, 48), (36, 44, 96))
            for _ in range(14):
                x, y = random.uniform(0, width), random.uniform(0, height)
                reach = 0.006 * min(width, height)
                draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(226, 226, 200))
        case "sea":
            _gradient(draw, image.size, (196, 226, 246), (214, 236, 248))
            _ground(draw, image.size, random, (16, 108, 142))
        case "sand":
            _gradient(draw, image.size, (120, 186, 246), (186, 222, 252))
            _ground(draw, image.size, random, (226, 200, 142))
        case "sunset":
            _gradient(draw, image.size, (120, 70, 150), (252, 160, 70))
        case "snow":
            _gradient(draw, image.size, (146, 164, 190), (176, 190, 210))
            _ground(draw, image.size, random, (240, 244, 250))
        case _:
            draw.rectangle((0, 0, width, height), fill=GRAY if background == "gray" else COLOURS[background])


def _gradient(draw: ImageDraw.ImageDraw, size: tuple[int, int], top: Rgb, bottom: Rgb) -> None:
    width, height = size
    for y in range(height):
        share = y / (height - 1)
        draw.line((0, y, width, y), fill=tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True)))


def _ground(draw: ImageDraw.ImageDraw, size: tuple[int, int], random: Random, colour: Rgb) -> None:
    """Everything below a straight horizon."""
    width, height = size
    draw.rectangle((0, height * random.uniform(0.5, 0.62), width, height), fill=colour)


def _draw_object(image: Image.Image, thing: Placed, style: Style) -> None:
    short = min(image.size)
    reach = round(thing.radius * short)
    left, top = round(thing.x * short) - reach, round(thing.y * short) - reach
    mask = Image.new("L", (2 * reach + 1, 2 * reach + 1))
    _SHAPES[thing.group.shape](ImageDraw.Draw(mask), float(reach))
    if style == "outline":
        line = _outline(mask, STROKE * short)
        beyond = (line.width - mask.width) // 2
        image.paste(COLOURS[thing.group.colour], (left - beyond, top - beyond), line)
    else:
        image.paste(_fill(thing.group, mask.size), (left, top), mask)


def _outline(mask: Image.Image, width: float) -> Image.Image:
    """A line of ``width`` pixels along the edge of ``mask`` (0 or 255), half of it outside: larger than the mask."""
    inside = np.pad(np.asarray(mask), math.ceil(width / 2) + 1)
    depths = (cv2.distanceTransform(side, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for side in (inside, 255 - inside))
    return Image.fromarray(np.where(np.maximum(*depths) <= width / 2, 255, 0).astype(np.uint8))


def _fill(group: Group, size: tuple[int, int]) -> Image.Image:
    """The object's surface: its colour, with stripes or dots of a lighter or darker tone."""
    colour = COLOURS[group.colour]
    surface = Image.new("RGB", size, colour)
    draw = ImageDraw.Draw(surface)
    tone = second_tone(group.colour)
    side = size[0]
    step = side / 4.5
    match group.fill:
        case "striped":
            for k in range(-5, 10):
                start = k * step
                draw.polygon(
                    [
                        (start, 0),
                        (start + 0.4 * step, 0),
                        (start + 0.4 * step - side / 2, side),
                        (start - side / 2, side),
                    ],
                    fill=tone,
                )
        case "dotted":
            reach = 0.26 * step
            for row in range(6):
                for column in range(6):
                    x, y = (column + 0.25 + 0.5 * (row % 2)) * step, (row + 0.25) * step
                    draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=tone)
    return surface


def second_tone(colour: str) -> Rgb:
    """The tone of stripes and dots: dark on the bright colours, white on the others."""
    if colour in ("yellow", "white", "pink", "orange"):
        return tuple(round(0.55 * value) for value in COLOURS[colour])  # type: ignore[return-value]
    return 244, 244, 244


def _circle(draw: ImageDraw.ImageDraw, r: float) -> None:
    draw.ellipse((0, 0, 2 * r, 2 * r), fill=255)


def _ring(draw: ImageDraw.ImageDraw, r: float) -> None:
    _circle(draw, r)
    draw.ellipse((0.45 * r, 0.45 * r, 1.55 * r, 1.55 * r), fill=0)


def _square(draw: ImageDraw.ImageDraw, r: float) -> None:
    draw.rectangle((0.14 * r, 0.14 * r, 1.86 * r, 1.86 * r), fill=255)


def _triangle(draw: ImageDraw.ImageDraw, r: float) -> None:
    draw.polygon([(r, 0.05 * r), (2 * r, 1.85 * r), (0, 1.85 * r)], fill=255)


def _diamond(draw: ImageDraw.ImageDraw, r: float) -> None:
    draw.polygon([(r, 0), (1.8 * r, r), (r, 2 * r), (0.2 * r, r)], fill=255)


def _star(draw: ImageDraw.ImageDraw, r: float) -> None:
    points = []
    for k in range(10):
        reach = r if k % 2 == 0 else 0.42 * r
        angle = math.pi * k / 5
        points.append((r + reach * math.sin(angle), 1.05 * r - reach * math.cos(angle)))
    draw.polygon(points, fill=255)


def _cross(draw: ImageDraw.ImageDraw, r: float) -> None:
    draw.rectangle((0.66 * r, 0, 1.34 * r, 2 * r), fill=255)
    draw.rectangle((0, 0.66 * r, 2 * r, 1.34 * r), fill=255)


def _heart(draw: ImageDraw.ImageDraw, r: float) -> None:
    points = []
    for k in range(60):
        t = 2 * math.pi * k / 60
        x = 16 * math.sin(t) ** 3
        y = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((r + x * r / 16.5, 0.92 * r - y * r / 16.5))
    draw.polygon(points, fill=255)


_SHAPES: dict[str, Callable[[ImageDraw.ImageDraw, float], None]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "diamond": _diamond,
    "star": _star,
    "cross": _cross,
    "heart": _heart,
    "ring": _ring,
}
