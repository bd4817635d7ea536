"""Weights' names in published files → those of transformers' modules: rules of replacement, and stacked matrices taken
apart. Knows no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.weights import read_file

WRAPPER = "model"

Rule = tuple[str, str]
"""A pattern, and what stands for it; one after another on every name."""


def renamed(weights: Mapping[str, Tensor], rules: Iterable[Rule]) -> dict[str, Tensor]:
    """``weights`` under the names that ``rules`` make, as of ``re.sub``."""
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    made: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        for pattern, replacement in compiled:
            name = pattern.sub(replacement, name)
        made[name] = tensor
    return made


def unstacked(weights: Mapping[str, Tensor], pattern: str, parts: Sequence[str]) -> dict[str, Tensor]:
    """``weights`` with every tensor whose name matches ``pattern`` cut into equal parts along its rows.

    ``parts`` are the names of the pieces, in the form of ``re.sub``.
    """
    compiled = re.compile(pattern)
    made: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if compiled.search(name):
            pieces = tensor.chunk(len(parts))
            made |= {compiled.sub(part, name): piece for part, piece in zip(parts, pieces, strict=True)}
        else:
            made[name] = tensor
    return made


def counted(weights: Iterable[str], pattern: str) -> int:
    """How many layers there are: one more than the highest number that ``pattern`` finds in a name."""
    compiled = re.compile(pattern)
    return 1 + max((int(found[1]) for name in weights if (found := compiled.search(name))), default=-1)


def read_wrapped(path: Path) -> dict[str, Tensor]:
    """The tensors of a weight file, or of the dict ``model`` in it.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: it is unreadable, refused, or without any tensor.
    """
    content = read_file(path)
    inner = content.get(WRAPPER, content)
    weights = {str(k): v for k, v in inner.items() if isinstance(v, Tensor)} if isinstance(inner, Mapping) else {}
    if not weights:
        raise BadModelFile(f"{path.name}: holds no tensors")
    return weights
