"""How much of the facts a picture is asked to show was seen in it. Knows no pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from builder.starter.analysis import Seen, SeenObject
from builder.starter.facts import Facts, Item


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


def sight_of(facts: Facts) -> Seen:
    """What is seen in a picture that shows exactly ``facts``."""
    things = (SeenObject(item.colour, item.shape) for item in facts.items for _ in range(item.number))
    return Seen(facts.background, tuple(things))


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
