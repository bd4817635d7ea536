"""What is measured of a model by captions: numbers beside their targets, one by one as they are known.

Targets are what the starter model is made to reach; where that is a matter of taste, they are marked as our own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import sqrt
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from builder.starter import captions, world
from builder.starter.analysis import analyse
from builder.starter.facts import Told, facts_of
from builder.starter.model import NATIVE
from builder.starter.painter import Wanted
from builder.starter.palette import colour_share
from builder.starter.pictures import Size
from builder.starter.scoring import Totals, score, sight_of, totals
from builder.starter.studio import Studio

TARGETS: Mapping[str, float] = {"background": 0.95, "count": 0.85, "colour": 0.93, "shape": 0.88}
CAPTION_SEED = 2024
NEVER_SEEN = 50  # captions with a pair of colour and shape that no training shows
SIZES: tuple[Size, ...] = ((144, 144), (288, 288), (240, 160), (160, 240))
SIZE_COUNT_TARGET = 0.75
GUIDANCE_GAIN, NOISE = 0.05, 0.05  # our own: what "clearly" and "noise" mean of a mean score
STANDARD_ERRORS = 3  # beyond chance
STYLES = ("Fooocus Enhance", "Fooocus Sharp")  # wrap the prompt in words that the world does not know
STYLED = 100
NEGATED = 50
NEGATIVE_MOST = 0.8  # our own: what a negative prompt leaves of the colour that it names, at most
NEGATIVE_LEAST = 0.01  # our own: the share without, or there is nothing to lower
SECONDS_TARGET, TIMED = 4.0, 5  # on two cores


@dataclass(frozen=True)
class Row:
    """A measured number and what it must reach; without a target only reported."""

    name: str
    value: float
    cases: int
    """Pictures behind it."""
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target is reached; a number that is none reaches no target."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        goals = [f"{sign} {goal:.3f}" for sign, goal in ((">=", self.least), ("<=", self.most)) if goal is not None]
        named = f"{self.name} (n={self.cases})"
        return f"  {named:<56} {self.value:6.3f}  {' '.join(goals):<9} {'' if self.met else 'MISSED'}".rstrip()


def held_out(count: int, *, unseen_pairs: bool = False) -> list[Told]:
    """Captions of scenes that training leaves out."""
    random = Random(CAPTION_SEED + unseen_pairs)
    scenes = [world.held_out_scene(random, unseen_pairs=unseen_pairs) for _ in range(count)]
    return [Told(captions.caption(scene, random), facts_of(scene)) for scene in scenes]


@dataclass(frozen=True)
class Measures:
    """Everything that captions measure of one model."""

    studio: Studio
    told: Sequence[Told]
    seed: int

    @cached_property
    def speed(self) -> list[Image.Image]:
        """The captions' pictures in ``Speed``."""
        return self.painted(self.told)

    @cached_property
    def found(self) -> Totals:
        """What is right in them."""
        return matched(self.told, self.speed)

    def brief(self) -> Iterator[Row]:
        """The captions' own scores."""
        yield from score_rows("", self.found, TARGETS)
        yield Row("colour and shape of the same object", self.found.both.value, len(self.told))

    def rows(self) -> Iterator[Row]:
        """All others."""
        yield from score_rows("Quality: ", self.totals(self.told, performance_selection="Quality"), TARGETS)
        yield from score_rows("a pair never seen: ", self.totals(held_out(NEVER_SEEN, unseen_pairs=True)), {})
        yield from self._shuffled()
        yield from self._guidance()
        yield from self._sizes()
        yield self._foreign_words()
        yield from self._negative()
        yield self._seconds()

    def painted(self, told: Sequence[Told], size: Size = NATIVE, **fields: Any) -> list[Image.Image]:
        """One picture a caption; ``fields`` are more of the requests'."""
        return self.studio.pictures(
            Wanted(each.caption, self.seed + index, size, fields) for index, each in enumerate(told)
        )

    def totals(self, told: Sequence[Told], size: Size = NATIVE, **fields: Any) -> Totals:
        """What is right in ``painted``."""
        return matched(told, self.painted(told, size, **fields))

    def _shuffled(self) -> Iterator[Row]:
        """Every picture against the next one's caption scores no more than right pictures do by chance."""
        count = len(self.told)
        by_chance = chance(self.told)
        for name, value in shares(matched([*self.told[1:], self.told[0]], self.speed)).items():
            error = sqrt(by_chance[name] * (1 - by_chance[name]) / count)
            yield Row(f"shuffled captions: {name}", value, count, most=by_chance[name] + STANDARD_ERRORS * error)

    def _guidance(self) -> Iterator[Row]:
        """4 clearly beats 1, and 7 is not worse than 4 beyond noise."""
        one, seven = (mean(shares(self.totals(self.told, guidance_scale=scale))) for scale in (1.0, 7.0))
        four = mean(shares(self.found))  # what a request that names none gets
        yield Row("guidance 1: mean score", one, len(self.told))
        yield Row("guidance 4: mean score", four, len(self.told), least=one + GUIDANCE_GAIN)
        yield Row("guidance 7: mean score", seven, len(self.told), least=four - NOISE)

    def _sizes(self) -> Iterator[Row]:
        for width, height in SIZES:
            yield from score_rows(
                f"{width}x{height}: ", self.totals(self.told, (width, height)), {"count": SIZE_COUNT_TARGET}
            )

    def _foreign_words(self) -> Row:
        """Words of styles do no harm beyond noise."""
        told = self.told[:STYLED]
        plain = mean(shares(matched(told, self.speed[:STYLED])))
        styled = mean(shares(self.totals(told, style_selections=list(STYLES))))
        return Row("among a style's words: mean score", styled, len(told), least=plain - NOISE)

    def _negative(self) -> Iterator[Row]:
        """How much of a colour is left when the negative prompt names it; captions leave the colour open.

        Any words change a picture, and a colour chosen because there is much of it then gets less: so the share is
        held against the lesser one of pictures with no negative prompt, and with one that names another colour.
        """
        random = Random(self.seed)
        grounds = [random.choice(("white", "gray", "black")) for _ in range(NEGATED)]
        wanted = [
            Wanted(f"a large {random.choice(world.SHAPES)} on a {ground} background", self.seed + index)
            for index, ground in enumerate(grounds)
        ]
        plain = self.studio.pictures(wanted)
        named = [
            max(world.visible_colours(ground), key=partial(colour_share, image))
            for image, ground in zip(plain, grounds, strict=True)
        ]
        others = [
            random.choice([colour for colour in world.visible_colours(ground) if colour != shown])
            for ground, shown in zip(grounds, named, strict=True)
        ]
        without = _mean_share(plain, named)
        with_other = _mean_share(self.studio.pictures(_negating(wanted, others)), named)
        with_it = _mean_share(self.studio.pictures(_negating(wanted, named)), named)
        yield Row("share of a picture's colour", without, NEGATED, least=NEGATIVE_LEAST)
        yield Row("same, another colour as negative prompt", with_other, NEGATED, least=NEGATIVE_LEAST)
        most = NEGATIVE_MOST * min(without, with_other)
        yield Row("same, the colour as negative prompt", with_it, NEGATED, most=most)

    def _seconds(self) -> Row:
        """Median over a few pictures."""
        times = [self.studio.seconds(Wanted(each.caption, self.seed)) for each in self.told[:TIMED]]
        return Row(
            "seconds a picture, Speed, native size, two cores", float(np.median(times)), TIMED, most=SECONDS_TARGET
        )


def _negating(wanted: Iterable[Wanted], colours: Iterable[str]) -> Iterator[Wanted]:
    """The same pictures, with these negative prompts."""
    for each, colour in zip(wanted, colours, strict=True):
        yield Wanted(each.caption, each.seed, fields={"negative_prompt": colour})


def _mean_share(pictures: Iterable[Image.Image], colours: Iterable[str]) -> float:
    """Of each picture's own colour."""
    return float(np.mean([colour_share(image, colour) for image, colour in zip(pictures, colours, strict=True)]))


def matched(told: Sequence[Told], pictures: Sequence[Image.Image]) -> Totals:
    """Shares of what is right over all captions."""
    return totals(score(each.facts, analyse(picture)) for each, picture in zip(told, pictures, strict=True))


def chance(told: Sequence[Told]) -> dict[str, float]:
    """What right pictures score against the captions of all others."""
    sights = [sight_of(each.facts) for each in told]
    return shares(
        totals(score(each.facts, sight) for i, each in enumerate(told) for j, sight in enumerate(sights) if i != j)
    )


def shares(found: Totals) -> dict[str, float]:
    """The four scores by name."""
    return {name: getattr(found, name).value for name in TARGETS}


def mean(scores: Mapping[str, float]) -> float:
    """Of the four scores."""
    return float(np.mean(list(scores.values())))


def score_rows(prefix: str, found: Totals, targets: Mapping[str, float]) -> Iterator[Row]:
    """The four scores as rows."""
    for name, value in shares(found).items():
        yield Row(prefix + name, value, found.count.cases, least=targets.get(name))
