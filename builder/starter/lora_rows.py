"""What the LoRA companions are measured by: how many pictures are outlines, and few-step scores beside Speed's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from builder.starter.outline import is_outlined
from builder.starter.painter import Painter
from builder.starter.rows import Row
from builder.starter.train_style import FILE

STYLE_TARGET = 0.9
STYLE_CHANCE = 0.02  # outlined pictures without the LoRA, at most
UNDONE_EVERY = 5  # of the captions, one in so many is also painted at weight 0
DISTILLED_SHARES = {"Extreme Speed": 0.85, "Lightning": None, "Hyper-SD": None}
"""Distilled modes, and the share of Speed's scores that each must reach; ``None`` = only reported."""


def style_rows(painter: Painter, captions: Sequence[str], seed: int) -> Iterator[Row]:
    """Share of pictures that are outlines, with the LoRA and without; share that weight 0 leaves as they are."""
    plain = [painter.picture(caption, seed + i) for i, caption in enumerate(captions)]
    styled = [painter.picture(caption, seed + i, loras=[_used(1)]) for i, caption in enumerate(captions)]
    yield Row("style LoRA: pictures of outlines", _outlined(styled), least=STYLE_TARGET)
    yield Row("without it: pictures of outlines", _outlined(plain), most=STYLE_CHANCE)
    untouched = [
        np.array_equal(np.asarray(plain[i]), np.asarray(painter.picture(captions[i], seed + i, loras=[_used(0)])))
        for i in range(0, len(captions), UNDONE_EVERY)
    ]
    yield Row("style LoRA at weight 0: same bits", float(np.mean(untouched)), least=1)


def distilled_rows(mode: str, scores: Mapping[str, float], speed: Mapping[str, float]) -> Iterator[Row]:
    """Scores of a distilled mode, each with what it must reach of Speed's."""
    share = DISTILLED_SHARES[mode]
    for name, score in scores.items():
        yield Row(f"{mode}: {name}", score, least=None if share is None else share * speed[name])


def _used(weight: float) -> dict[str, object]:
    return {"enabled": True, "model_name": FILE, "weight": weight}


def _outlined(pictures: Sequence[Image.Image]) -> float:
    return float(np.mean([is_outlined(picture) for picture in pictures]))
