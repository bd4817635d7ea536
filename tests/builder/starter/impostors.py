"""Things that are none of the small world's shapes, each alone on a plain background, drawn by lot."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random

import numpy as np
from PIL import Image, ImageDraw

FINER = 3  # drawn this many times as large
PAIRS = (("gray", "red"), ("white", "blue"), ("black", "yellow"), ("white", "green"), ("gray", "orange"))
INKS = {
    "gray": (136, 136, 136),
    "white": (250, 250, 248),
    "black": (18, 18, 20),
    "red": (214, 32, 38),
    "blue": (36, 84, 214),
    "yellow": (250, 222, 40),
    "green": (40, 150, 60),
    "orange": (247, 144, 22),
}
Points = list[tuple[float, float]]
Draw = Callable[[ImageDraw.ImageDraw, Random], None]
"""Draws with 1 what is there and with 0 what is not, about the middle, reaching ``REACH`` at most."""
REACH = 100.0
MIDDLE = 150.0


def impostor(kind: str, size_px: int, seed: int) -> Image.Image:
    """A square RGB picture with one thing of that kind, 15 to 30 hundredths of the side in radius."""
    random = Random(seed)
    mask = Image.new("1", (round(2 * MIDDLE), round(2 * MIDDLE)))
    KINDS[kind](ImageDraw.Draw(mask), random)
    behind, ink = (INKS[name] for name in random.choice(PAIRS))
    side = FINER * size_px
    radius = random.uniform(0.15, 0.3) * side
    large = round(2 * MIDDLE * radius / REACH)
    reach = round(radius * MIDDLE / REACH)
    low, high = math.ceil(1.1 * radius), math.floor(side - 1.1 * radius)
    x, y = random.randint(low, high), random.randint(low, high)
    image = Image.new("RGB", (side, side), behind)
    image.paste(ink, (x - reach, y - reach), mask.convert("L").resize((large, large)).point(lambda v: 255 * (v > 127)))
    return image.reduce(FINER)


def _blob(draw: ImageDraw.ImageDraw, random: Random) -> None:
    """A smooth random radius: two to five waves around, no more regular than chance has it."""
    waves = [(k, random.uniform(0.1, 0.25), random.uniform(0, 2 * math.pi)) for k in range(2, 6)]
    angles = np.linspace(0, 2 * math.pi, 180, endpoint=False)
    radius = 1 + sum(height * np.sin(k * angles + phase) for k, height, phase in waves)
    radius *= REACH / radius.max()
    draw.polygon(_polar(angles, radius), fill=1)


def _ellipse(draw: ImageDraw.ImageDraw, random: Random) -> None:
    """1.7 times as long as wide, at any angle."""
    angles = np.linspace(0, 2 * math.pi, 180, endpoint=False)
    turn = random.uniform(0, math.pi)
    radius = REACH / np.hypot(np.cos(angles - turn), 1.7 * np.sin(angles - turn))
    draw.polygon(_polar(angles, radius), fill=1)


def _half_moon(draw: ImageDraw.ImageDraw, random: Random) -> None:
    turn = random.uniform(0, 360)
    draw.pieslice(_box(MIDDLE, MIDDLE, REACH), turn, turn + 180, fill=1)


def _crescent(draw: ImageDraw.ImageDraw, random: Random) -> None:
    turn, far = random.uniform(0, 2 * math.pi), random.uniform(0.4, 0.7) * REACH
    draw.ellipse(_box(MIDDLE, MIDDLE, REACH), fill=1)
    draw.ellipse(_box(MIDDLE + far * math.cos(turn), MIDDLE + far * math.sin(turn), 0.9 * REACH), fill=0)


def _merged(draw: ImageDraw.ImageDraw, random: Random) -> None:
    """Two figures of one colour that overlap."""
    turn, far = random.uniform(0, math.pi), 0.35 * REACH
    for side in (-far, far):
        x, y = MIDDLE + side * math.cos(turn), MIDDLE + side * math.sin(turn)
        random.choice((_disc, _upright, _tent))(draw, x, y, 0.55 * REACH)


def _pentagon(draw: ImageDraw.ImageDraw, random: Random) -> None:
    draw.regular_polygon((MIDDLE, MIDDLE, REACH), 5, random.uniform(0, 72), fill=1)


def _hexagon(draw: ImageDraw.ImageDraw, random: Random) -> None:
    draw.regular_polygon((MIDDLE, MIDDLE, REACH), 6, random.uniform(0, 60), fill=1)


def _half_erased(draw: ImageDraw.ImageDraw, random: Random) -> None:
    """A ring, cross, star, square or disc without its left, right, upper or lower half."""
    random.choice((_ring, _cross, _star, _upright, _disc))(draw, MIDDLE, MIDDLE, REACH)
    whole = 2 * MIDDLE
    halves = ((0, 0, MIDDLE, whole), (MIDDLE, 0, whole, whole), (0, 0, whole, MIDDLE), (0, MIDDLE, whole, whole))
    draw.rectangle(random.choice(halves), fill=0)


def _disc(draw: ImageDraw.ImageDraw, x: float, y: float, reach: float) -> None:
    draw.ellipse(_box(x, y, reach), fill=1)


def _upright(draw: ImageDraw.ImageDraw, x: float, y: float, reach: float) -> None:
    draw.rectangle(_box(x, y, 0.85 * reach), fill=1)


def _tent(draw: ImageDraw.ImageDraw, x: float, y: float, reach: float) -> None:
    draw.polygon([(x, y - reach), (x + reach, y + 0.8 * reach), (x - reach, y + 0.8 * reach)], fill=1)


def _ring(draw: ImageDraw.ImageDraw, x: float, y: float, reach: float) -> None:
    draw.ellipse(_box(x, y, reach), fill=1)
    draw.ellipse(_box(x, y, 0.55 * reach), fill=0)


def _cross(draw: ImageDraw.ImageDraw, x: float, y: float, reach: float) -> None:
    draw.rectangle((x - reach, y - reach / 3, x + reach, y + reach / 3), fill=1)
    draw.rectangle((x - reach / 3, y - reach, x + reach / 3, y + reach), fill=1)


def _star(draw: ImageDraw.ImageDraw, x: float, y: float, reach: float) -> None:
    angles = math.pi * (np.arange(10) / 5 - 0.5)
    draw.polygon(_polar(angles, np.tile([reach, 0.42 * reach], 5)), fill=1)


def _box(x: float, y: float, reach: float) -> tuple[float, float, float, float]:
    return x - reach, y - reach, x + reach, y + reach


def _polar(angles: np.ndarray, radius: np.ndarray) -> Points:
    return list(zip(MIDDLE + radius * np.cos(angles), MIDDLE + radius * np.sin(angles), strict=True))


KINDS: Mapping[str, Draw] = {
    "blob": _blob,
    "ellipse": _ellipse,
    "half moon": _half_moon,
    "crescent": _crescent,
    "merged": _merged,
    "pentagon": _pentagon,
    "hexagon": _hexagon,
    "half erased": _half_erased,
}
