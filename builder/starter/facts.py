"""Captions with the facts that their pictures are asked to show, and the files that list them. Knows no pixels.

Such a file has one picture a line: ``caption | background | number colour shape; number colour shape``, for example
``two yellow stars above a green square at night | night | 2 yellow star; 1 green square``. Blank lines and lines that
start with ``#`` are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from builder.starter.world import BACKGROUNDS, COLOURS, SHAPES, Scene

FORM = "caption | background | number colour shape; number colour shape"
MOST_OBJECTS = 9
"""In one picture; the best pairing is searched among all."""


class Item(NamedTuple):
    """Equal objects."""

    number: int
    colour: str
    shape: str


@dataclass(frozen=True)
class Facts:
    """What a picture is asked to show."""

    background: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Told:
    """A caption with what its picture must show."""

    caption: str
    facts: Facts


def facts_of(scene: Scene) -> Facts:
    """What a picture of ``scene`` has to show."""
    return Facts(scene.background, tuple(Item(group.number, group.colour, group.shape) for group in scene.groups))


def told_by(line: str) -> Told:
    """What one line of a caption file tells.

    Raises:
        ValueError: names the line and what is allowed.
    """
    parts = [part.strip() for part in line.split("|")]
    if len(parts) != 3 or not parts[0]:
        raise ValueError(f"bad line {line.strip()!r}: want {FORM}")
    caption, background, listed = parts
    if background not in BACKGROUNDS:
        raise ValueError(f"bad line {line.strip()!r}: unknown background {background!r}; known: {_list(BACKGROUNDS)}")
    items = tuple(_item(text, line) for text in listed.split(";"))
    if sum(item.number for item in items) > MOST_OBJECTS:
        raise ValueError(f"bad line {line.strip()!r}: at most {MOST_OBJECTS} objects in a picture")
    return Told(caption, Facts(background, items))


def read_told(lines: Iterable[str]) -> list[Told]:
    """What a caption file tells, line by line.

    Raises:
        ValueError: names the first bad line, its number and what is allowed.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            found.append(told_by(line))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    return found


def _item(text: str, line: str) -> Item:
    words = text.split()
    if len(words) != 3:
        raise ValueError(f"bad line {line.strip()!r}: {text.strip()!r} is not 'number colour shape'; want {FORM}")
    number, colour, shape = words
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= MOST_OBJECTS):
        raise ValueError(f"bad line {line.strip()!r}: a number is 1 to {MOST_OBJECTS}, got {number!r}")
    if colour not in COLOURS:
        raise ValueError(f"bad line {line.strip()!r}: unknown colour {colour!r}; known: {_list(COLOURS)}")
    if shape not in SHAPES:
        raise ValueError(f"bad line {line.strip()!r}: unknown shape {shape!r}; known: {_list(SHAPES)}")
    return Item(int(number), colour, shape)


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)
