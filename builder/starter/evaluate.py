"""``python -m builder.starter.evaluate``: pictures of captions through the engine, judged by the analyser.

A captions file has one caption a line with the facts to check: ``caption | background | number colour shape; …``
(``scoring.py``). Without one, held-out captions are drawn: their combinations of facts were never trained on.
Prints a table and a last line with the scores; exit status 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from builder.starter import captions, world
from builder.starter.analysis import Seen, analyse
from builder.starter.colour_share import colour_share
from builder.starter.companion_rows import companion_rows
from builder.starter.lora_rows import DISTILLED_SHARES, distilled_rows, style_rows
from builder.starter.painter import Painter
from builder.starter.rows import Row
from builder.starter.scoring import Facts, Totals, facts_of, read_facts, score, totals

CAPTION_SEED = 2024
TARGETS = {"background": 0.95, "count": 0.85, "colour": 0.93, "shape": 0.88}
CHANCE = {"background": 0.07, "count": 0.37, "colour": 0.12, "shape": 0.13}  # rendered truth against others' captions
CHANCE_NOISE = 0.10
SIZES = ((144, 144), (288, 288), (240, 160), (160, 240))
SIZE_COUNT_TARGET = 0.75
GUIDANCE_GAIN, GUIDANCE_NOISE = 0.05, 0.05
SECONDS_TARGET = 4.0  # on two cores
NEGATIVE_TARGET = 0.8  # share of a colour with it as negative prompt, over the share without


@dataclass(frozen=True)
class Told:
    """A caption with what its picture must show."""

    caption: str
    facts: Facts


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.evaluate", description=__doc__)
    parser.add_argument("--captions", type=Path, help="a file of captions with facts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=Path, default=Path("no-models"), help="a models folder")
    parser.add_argument("--model", help="name of a checkpoint in it; default: the shipped one")
    parser.add_argument("--count", type=int, default=200, help="held-out captions")
    parser.add_argument("--brief", action="store_true", help="only the captions' own scores")
    given = parser.parse_args()
    told = held_out(given.count) if given.captions is None else read(given.captions)
    evaluation = Evaluation(Painter(given.models, given.model), told, given.seed)
    brief = given.brief or given.captions is not None
    found = evaluation.rows(brief=brief)
    rows = []
    for row in found if brief else chain(found, companion_rows(given.models, given.model, given.seed)):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
        rows.append(row)
    missed = [row.name for row in rows if not row.met]
    main_scores = ", ".join(f"{row.name} {row.value:.3f}" for row in rows[: len(TARGETS)])
    sys.stdout.write(f"{main_scores}; {len(missed)} targets missed\n")
    sys.exit(1 if missed else 0)


def held_out(count: int, *, unseen_pairs: bool = False) -> list[Told]:
    """Captions of scenes that training leaves out."""
    random = Random(CAPTION_SEED + unseen_pairs)
    scenes = [world.held_out_scene(random, unseen_pairs=unseen_pairs) for _ in range(count)]
    return [Told(captions.caption(scene, random), facts_of(scene)) for scene in scenes]


def read(path: Path) -> list[Told]:
    """Captions of a file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Told(caption, facts) for caption, facts in read_facts(lines)]


@dataclass(frozen=True)
class Evaluation:
    """Everything that is measured of one model."""

    painter: Painter
    told: Sequence[Told]
    seed: int

    def rows(self, *, brief: bool) -> Iterator[Row]:
        """All rows, one by one as they are known."""
        speed = self._seen(self.told)
        speed_totals = matched(self.told, speed)
        yield from target_rows("", speed_totals, TARGETS)
        if brief:
            return
        yield from target_rows("Quality: ", self._totals(self.told, performance_selection="Quality"), TARGETS)
        yield from target_rows("unseen pairs: ", self._totals(held_out(50, unseen_pairs=True)), {})
        turned = [*self.told[1:], self.told[0]]
        for name, share in shares(matched(turned, speed)).items():
            yield Row(f"shuffled captions: {name}", share, most=CHANCE[name] + CHANCE_NOISE)
        yield from self._guidance(self.told[:100])
        yield from self._sizes(self.told[:50])
        yield self._negative()
        yield Row("seconds a picture, Speed, native size", self._seconds(), most=SECONDS_TARGET)
        yield from style_rows(self.painter, [each.caption for each in self.told[:50]], self.seed)
        for mode in DISTILLED_SHARES:
            fast = shares(self._totals(self.told, performance_selection=mode))
            yield from distilled_rows(mode, fast, shares(speed_totals))

    def _seen(self, told: Sequence[Told], **fields: Any) -> list[Seen]:
        return [
            analyse(self.painter.picture(each.caption, self.seed + index, **fields)) for index, each in enumerate(told)
        ]

    def _totals(self, told: Sequence[Told], **fields: Any) -> Totals:
        return matched(told, self._seen(told, **fields))

    def _guidance(self, told: Sequence[Told]) -> Iterator[Row]:
        """Mean of the four scores: 4 clearly beats 1, and 7 is not worse than 4 beyond noise."""
        mean = {
            scale: float(np.mean(list(shares(self._totals(told, guidance_scale=scale)).values())))
            for scale in (1.0, 4.0, 7.0)
        }
        yield Row("guidance 1: mean score", mean[1.0])
        yield Row("guidance 4: mean score", mean[4.0], least=mean[1.0] + GUIDANCE_GAIN)
        yield Row("guidance 7: mean score", mean[7.0], least=mean[4.0] - GUIDANCE_NOISE)

    def _sizes(self, told: Sequence[Told]) -> Iterator[Row]:
        for size in SIZES:
            found = shares(self._totals(told, size=size))
            yield Row(f"{size[0]}x{size[1]}: count", found["count"], least=SIZE_COUNT_TARGET)
            yield from (Row(f"{size[0]}x{size[1]}: {name}", found[name]) for name in found if name != "count")

    def _seconds(self) -> float:
        """Median over a few pictures; the models are loaded."""
        times = []
        for each in self.told[:5]:
            started = time.perf_counter()
            self.painter.picture(each.caption, self.seed)
            times.append(time.perf_counter() - started)
        return float(np.median(times))

    def _negative(self) -> Row:
        """How much of a colour is left when the negative prompt names it; captions leave the colour open."""
        random = Random(self.seed)
        with_it = without = 0.0
        for index in range(50):
            shape, ground = random.choice(world.SHAPES), random.choice(("white", "gray", "black"))
            colour = random.choice(("red", "blue", "green", "yellow"))
            caption = f"a large {shape} on a {ground} background"
            seed = self.seed + index
            without += colour_share(self.painter.picture(caption, seed), colour)
            with_it += colour_share(self.painter.picture(caption, seed, negative_prompt=colour), colour)
        return Row("share of a colour named as negative / without", with_it / max(without, 1e-6), most=NEGATIVE_TARGET)


def matched(told: Sequence[Told], seen: Sequence[Seen]) -> Totals:
    """Shares of what is right over all captions."""
    return totals(score(each.facts, picture) for each, picture in zip(told, seen, strict=True))


def shares(found: Totals) -> dict[str, float]:
    """The four scores by name."""
    return {name: getattr(found, name).value for name in TARGETS}


def target_rows(prefix: str, found: Totals, targets: dict[str, float]) -> Iterator[Row]:
    """The four scores as rows."""
    for name, value in shares(found).items():
        yield Row(prefix + name, value, least=targets.get(name))


if __name__ == "__main__":
    main()
