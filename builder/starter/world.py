"""The small picture world: what can be in a picture, and scenes drawn by lot. Knows no pixels and no words.

A scene is one to three objects, in groups of equal ones, on a background. Some combinations are held out of training:
six colour-shape pairs altogether, and a tenth of all triples of colour, shape and background.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Literal

COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (214, 32, 38),
    "orange": (247, 144, 22),
    "yellow": (250, 222, 40),
    "green": (40, 150, 60),
    "blue": (36, 84, 214),
    "purple": (122, 44, 160),
    "pink": (250, 146, 190),
    "brown": (116, 70, 34),
    "black": (18, 18, 20),
    "white": (250, 250, 248),
}
"""sRGB, 0-255."""
SHAPES = ("circle", "square", "triangle", "diamond", "star", "cross", "heart", "ring")
SIZES: Mapping[str, tuple[float, float]] = {"small": (0.14, 0.155), "medium": (0.19, 0.21), "large": (0.27, 0.31)}
"""Radius of an object as a share of the picture's shorter side."""
FILLS = ("plain", "striped", "dotted")
PLACES: Mapping[str, tuple[float, float]] = {
    "centre": (0.5, 0.5),
    "left": (0.25, 0.5),
    "right": (0.75, 0.5),
    "top": (0.5, 0.25),
    "bottom": (0.5, 0.75),
}
"""Middle of a single object, as shares of width and height."""
PLAIN = ("white", "black", "gray", "red", "blue", "green", "yellow", "pink")
SCENES = ("meadow", "night", "sea", "sand", "sunset", "snow")
BACKGROUNDS = PLAIN + SCENES

Relation = Literal["left", "right", "above", "below"]

# Colours that would be lost on a background.
_LOST: Mapping[str, tuple[str, ...]] = {
    "white": ("white",),
    "black": ("black",),
    "gray": (),
    "red": ("red", "brown"),
    "blue": ("blue", "purple"),
    "green": ("green",),
    "yellow": ("yellow",),
    "pink": ("pink",),
    "meadow": ("green", "blue", "white"),
    "night": ("black", "blue", "purple", "brown"),
    "sea": ("blue", "green", "white"),
    "sand": ("orange", "yellow", "white"),
    "sunset": ("orange", "red", "purple", "pink", "yellow", "brown"),
    "snow": ("white",),
}
UNSEEN_PAIRS = frozenset(
    {
        ("red", "star"),
        ("blue", "heart"),
        ("green", "triangle"),
        ("yellow", "cross"),
        ("purple", "circle"),
        ("white", "diamond"),
    }
)
"""Pairs of colour and shape that training never shows."""
ALONE_KEPT = 0.4
"""Share of scenes with a single object that training keeps."""
_PATTERNS = (((1,), 0.46), ((2,), 0.13), ((3,), 0.07), ((1, 1), 0.20), ((2, 1), 0.09), ((1, 1, 1), 0.05))


@dataclass(frozen=True)
class Group:
    """Equal objects."""

    number: int
    colour: str
    shape: str
    size: str
    fill: str
    place: str | None
    """Of a single object that is alone in its picture; ``None`` where it lies anywhere."""


@dataclass(frozen=True)
class Scene:
    """A picture before it is drawn."""

    background: str
    groups: tuple[Group, ...]
    relation: Relation | None
    """Where the first of two groups lies, seen from the second; ``None`` = anywhere."""


def visible_colours(background: str) -> tuple[str, ...]:
    """Colours that stand out from ``background``."""
    return tuple(colour for colour in COLOURS if colour not in _LOST[background])


def is_unseen_pair(group: Group) -> bool:
    """Whether training never shows this colour on this shape."""
    return (group.colour, group.shape) in UNSEEN_PAIRS


def is_held_out(scene: Scene) -> bool:
    """Whether training leaves the scene out for the colour, shape and background of one of its groups."""
    return any(_held_out_triple(group.colour, group.shape, scene.background) for group in scene.groups)


def _held_out_triple(colour: str, shape: str, background: str) -> bool:
    return zlib.crc32(f"{colour} {shape} {background}".encode()) % 10 == 0


def draw_scene(random: Random) -> Scene:
    """A scene by lot, held out or not."""
    background = random.choice(BACKGROUNDS)
    numbers = random.choices([p for p, _ in _PATTERNS], [weight for _, weight in _PATTERNS])[0]
    crowded = sum(numbers) > 1
    sizes = ("small", "medium") if crowded else tuple(SIZES)
    used: set[tuple[str, str]] = set()
    groups: list[Group] = []
    while len(groups) < len(numbers):
        colour, shape = random.choice(visible_colours(background)), random.choice(SHAPES)
        if (colour, shape) in used:
            continue
        used.add((colour, shape))
        size = random.choice(sizes)
        groups.append(
            Group(
                number=numbers[len(groups)],
                colour=colour,
                shape=shape,
                size=size,
                fill=_draw_fill(random, size),
                place=random.choice(tuple(PLACES)) if not crowded and random.random() < 0.6 else None,
            )
        )
    relation = _draw_relation(random) if len(groups) == 2 and random.random() < 0.6 else None
    return Scene(background, tuple(groups), relation)


def _draw_fill(random: Random, size: str) -> str:
    """Patterns need room: small objects are plain."""
    return random.choices(FILLS, (0.7, 0.15, 0.15))[0] if size != "small" else "plain"


def _draw_relation(random: Random) -> Relation:
    relations: tuple[Relation, ...] = ("left", "right", "above", "below")
    return random.choice(relations)


def training_scene(random: Random) -> Scene:
    """A scene by lot that is not held out; single objects, which are learned first, come less often than elsewhere."""
    while True:
        scene = draw_scene(random)
        alone = sum(group.number for group in scene.groups) == 1
        if is_held_out(scene) or any(map(is_unseen_pair, scene.groups)) or (alone and random.random() > ALONE_KEPT):
            continue
        return scene


def held_out_scene(random: Random, *, unseen_pairs: bool = False) -> Scene:
    """A scene by lot that training leaves out; with ``unseen_pairs`` one that shows a pair never seen."""
    while True:
        scene = draw_scene(random)
        unseen = [is_unseen_pair(group) for group in scene.groups]
        if any(unseen) if unseen_pairs else is_held_out(scene) and not any(unseen):
            return scene
