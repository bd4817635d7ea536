"""``python -m builder.starter.curves LOG… PICTURE``: the training's logs as curves, for the README.

A panel for a log's losses and one for its decibels; steps run to the right, values upwards on a logarithmic scale, and
colours tell names.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import cycle, pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

Points = list[tuple[float, float]]
PANEL = (640, 300)
LEFT, RIGHT, TOP, BOTTOM = 60, 16, 30, 34
INKS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (255, 127, 14), (148, 103, 189))
GRAY, GRID, BLACK = (110, 110, 110), (225, 225, 225), (20, 20, 20)
TICKS = 6
DECIBELS = ("psnr", "gain")  # what names of curves in decibels begin with


def main() -> None:
    """Read, draw, save."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.curves", description=__doc__)
    parser.add_argument("logs", type=Path, nargs="+", metavar="LOG")
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    panels = [panel(title(log), curves) for log in given.logs for curves in _by_unit(read(log))]
    sheet = Image.new("RGB", (PANEL[0], PANEL[1] * len(panels)), "white")
    for index, drawn in enumerate(panels):
        sheet.paste(drawn, (0, PANEL[1] * index))
    sheet.quantize(32).save(given.picture, optimize=True)


def read(path: Path) -> dict[str, Points]:
    """The curves of a log: (step, value) by name, in order of steps; of a step done twice the later value."""
    curves: dict[str, dict[float, float]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        step, _, name, value = line.split(",")
        curves[name][float(step)] = float(value)
    return {name: sorted(curve.items()) for name, curve in curves.items()}


def hours(path: Path) -> float:
    """What a log's training took. Where its seconds fall, a run began that counted anew: those before it count, too."""
    seconds = [float(line.split(",")[1]) for line in path.read_text(encoding="utf-8").splitlines()]
    ends = [before for before, after in pairwise(seconds) if after < before]
    return (sum(ends) + seconds[-1]) / 3600


def title(log: Path) -> str:
    """Above a log's panels."""
    return f"{log.stem}, {hours(log):.1f} h"


def _by_unit(curves: Mapping[str, Points]) -> list[dict[str, Points]]:
    """Losses and decibels apart."""
    decibels = {name: curve for name, curve in curves.items() if name.startswith(DECIBELS)}
    losses = {name: curve for name, curve in curves.items() if name not in decibels}
    return [part for part in (losses, decibels) if part]


def panel(title: str, curves: Mapping[str, Points]) -> Image.Image:
    """One log's curves under its name."""
    image = Image.new("RGB", PANEL, "white")
    draw = ImageDraw.Draw(image)
    points = [point for curve in curves.values() for point in curve if point[1] > 0]
    axes = Axes.around(points)
    axes.draw(draw)
    draw.text((LEFT, 8), title, BLACK, font=_font(14))
    x = PANEL[0] - RIGHT
    for (name, curve), ink in reversed(list(zip(curves.items(), cycle(INKS), strict=False))):
        x -= int(draw.textlength(name, font=_font(12))) + 14
        draw.text((x, 9), name, ink, font=_font(12))
        draw.line([axes.place(point) for point in curve if point[1] > 0], fill=ink, width=2)
    return image


class Axes:
    """Where a point lies in the panel."""

    def __init__(self, last_step: float, low: float, high: float) -> None:
        self._last, self._low, self._high = max(last_step, 1.0), math.log(low), math.log(high)

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]]) -> Axes:
        """Axes that show all ``points`` (step, value)."""
        values = [value for _, value in points]
        return cls(max(step for step, _ in points), min(values) / 1.05, max(values) * 1.05)

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """Pixels of (step, value)."""
        height = (math.log(point[1]) - self._low) / (self._high - self._low)
        width, tall = PANEL[0] - LEFT - RIGHT, PANEL[1] - TOP - BOTTOM
        return LEFT + width * point[0] / self._last, TOP + tall * (1 - height)

    def draw(self, draw: ImageDraw.ImageDraw) -> None:
        """Lines and numbers."""
        for k in range(TICKS):
            value = math.exp(self._low + (self._high - self._low) * k / (TICKS - 1))
            x, y = self.place((self._last * k / (TICKS - 1), value))
            draw.line((LEFT, y, PANEL[0] - RIGHT, y), GRID)
            draw.line((x, TOP, x, PANEL[1] - BOTTOM), GRID)
            draw.text((LEFT - 6, y), f"{value:.3g}", GRAY, anchor="rm", font=_font(11))
            draw.text(
                (x, PANEL[1] - BOTTOM + 6), f"{self._last * k / (TICKS - 1):.0f}", GRAY, anchor="ma", font=_font(11)
            )


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


if __name__ == "__main__":
    main()
