"""Facts of a scene as numbers: background, colours, shapes, and pairs of these two. Knows no pixels and no words."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from builder.starter.world import BACKGROUNDS, COLOURS, SHAPES, Scene

FACTS = (*BACKGROUNDS, *COLOURS, *SHAPES, *(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES))
"""Backgrounds come before colours of the same name."""
_FIRST_COLOUR = len(BACKGROUNDS)
_FIRST_PAIR = _FIRST_COLOUR + len(COLOURS) + len(SHAPES)


def fact_rows(scenes: Sequence[Scene]) -> Tensor:
    """``[B, facts]`` float32: 1 where a scene has the fact."""
    rows = torch.zeros(len(scenes), len(FACTS))
    for row, scene in zip(rows, scenes, strict=True):
        row[BACKGROUNDS.index(scene.background)] = 1
        for group in scene.groups:
            row[FACTS.index(group.colour, _FIRST_COLOUR)] = 1
            row[FACTS.index(group.shape, _FIRST_COLOUR)] = 1
            row[FACTS.index(f"{group.colour} {group.shape}", _FIRST_PAIR)] = 1
    return rows
