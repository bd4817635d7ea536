"""Facts that a picture is asked to show, how a caption file writes them down, and how many of them were seen.

A caption file has one picture a line: ``caption | background | number colour shape; number colour shape``, for example
``two yellow stars above a green square at night | night | 2 yellow star; 1 green square``. Blank lines and lines that
start with ``#`` are passed over. Knows no pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from builder.starter.analysis import Seen, SeenObject
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


class Match(NamedTuple):
    """What is right about one expected object."""

    colour: bool
    shape: bool

    @property
    def both(self) -> bool:
        """Whether all of it is right."""
        return self.colour and self.shape


@dataclass(frozen=True)
class Score:
    """What is right about one picture."""

    background: bool
    count: bool
    """Whether there are exactly as many objects as expected."""
    objects: tuple[Match, ...]
    """One per expected object, in the order of the facts."""


class Share(NamedTuple):
    """So many right of so many cases."""

    right: int
    cases: int

    @property
    def value(self) -> float:
        """0-1; 0 without cases."""
        return self.right / self.cases if self.cases else 0.0


@dataclass(frozen=True)
class Totals:
    """Shares over many pictures: of pictures for background and count, of expected objects for the others."""

    background: Share
    count: Share
    colour: Share
    shape: Share
    both: Share


def facts_of(scene: Scene) -> Facts:
    """What a picture of ``scene`` has to show."""
    return Facts(scene.background, tuple(Item(group.number, group.colour, group.shape) for group in scene.groups))


def sight_of(facts: Facts) -> Seen:
    """What is seen in a picture that shows exactly ``facts``."""
    things = (SeenObject(item.colour, item.shape) for item in facts.items for _ in range(item.number))
    return Seen(facts.background, tuple(things))


def parse_facts(line: str) -> tuple[str, Facts]:
    """Caption and facts of one line of a caption file.

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
    return caption, Facts(background, items)


def read_facts(lines: Iterable[str]) -> list[tuple[str, Facts]]:
    """Captions and facts of a caption file.

    Raises:
        ValueError: names the first bad line, its number and what is allowed.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            found.append(parse_facts(line))
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


def score(facts: Facts, seen: Seen) -> Score:
    """What is right in a picture, expected and seen objects paired one to one as favourably as possible.

    An expected object without a partner is wrong in everything.
    """
    expected = [item for item in facts.items for _ in range(item.number)]
    return Score(
        background=seen.background == facts.background,
        count=len(seen.objects) == len(expected),
        objects=_paired(expected, seen.objects),
    )


def _paired(expected: Sequence[Item], seen: Sequence[SeenObject]) -> tuple[Match, ...]:
    """The pairing with most objects right in both, then with most colours and shapes right.

    Goes through the seen objects and keeps the best pairing for every set of expected objects (bits) that have one.
    """
    best = {0: (0, (Match(False, False),) * len(expected))}
    for thing in seen:
        for paired, (worth, matches) in tuple(best.items()):
            for i, item in enumerate(expected):
                if paired >> i & 1:
                    continue
                match = Match(thing.colour == item.colour, thing.shape == item.shape)
                better = worth + 100 * match.both + match.colour + match.shape
                known = best.get(paired | 1 << i)
                if known is None or better > known[0]:
                    best[paired | 1 << i] = (better, (*matches[:i], match, *matches[i + 1 :]))
    return max(best.values(), key=lambda pairing: pairing[0])[1]


def totals(scores: Iterable[Score]) -> Totals:
    """The sums of ``scores``."""
    pictures = tuple(scores)
    objects = [match for picture in pictures for match in picture.objects]
    return Totals(
        background=Share(sum(picture.background for picture in pictures), len(pictures)),
        count=Share(sum(picture.count for picture in pictures), len(pictures)),
        colour=Share(sum(match.colour for match in objects), len(objects)),
        shape=Share(sum(match.shape for match in objects), len(objects)),
        both=Share(sum(match.both for match in objects), len(objects)),
    )
