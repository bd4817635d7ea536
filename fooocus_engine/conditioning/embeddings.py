"""Textual-inversion files → embedding rows. Takes what was read safely; knows no folders and no tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def embedding_rows(content: Any, encoder: str, width: int) -> list[Tensor]:
    """The rows ``[C]`` of an embedding file for one encoder (``clip_l`` or ``clip_g``), in order (prompt.md §13).

    ``content`` is a dict, or a list of tensors or of dicts of them, whose tensors of the encoder's ``width`` all count.
    From a dict, rows of another width are returned too: they take their place in a chunk and are dropped later.
    """
    chosen = _chosen(content, encoder)
    if isinstance(chosen, (list, tuple)):
        fitting = [t.reshape(-1, width) for t in _tensors(chosen) if t.ndim and t.shape[-1] == width]
        chosen = torch.cat(fitting) if fitting else None
    if not isinstance(chosen, Tensor) or chosen.ndim == 0:
        return []
    return list(chosen.float().reshape(-1, chosen.shape[-1]))


def _chosen(content: Any, encoder: str) -> Any:
    if not isinstance(content, Mapping):
        return content
    nested = content.get("string_to_param")
    if isinstance(nested, Mapping):
        return next(iter(nested.values()), None)
    return content[encoder] if encoder in content else next(iter(content.values()), None)


def _tensors(items: list[Any] | tuple[Any, ...]) -> Iterator[Tensor]:
    for item in items:
        values = item.values() if isinstance(item, Mapping) else (item,)
        yield from (value for value in values if isinstance(value, Tensor))
