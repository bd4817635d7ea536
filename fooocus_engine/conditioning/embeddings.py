"""Textual-inversion files → embedding rows. Takes a state dict that was read safely; knows no folders and no tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def embedding_rows(content: Mapping[str, Any], encoder: str, width: int) -> list[Tensor]:
    """The rows ``[C]`` of an embedding file for one encoder (``clip_l`` or ``clip_g``), in order (prompt.md §13).

    Rows of another width than the encoder's are returned too: they take their place in a chunk and are dropped later.
    """
    nested = content.get("string_to_param")
    if isinstance(nested, Mapping):
        chosen: Any = next(iter(nested.values()))
    elif encoder in content:
        chosen = content[encoder]
    else:
        chosen = next(iter(content.values()), None)
    if isinstance(chosen, (list, tuple)):
        fitting = [t.reshape(-1, t.shape[-1]) for t in chosen if isinstance(t, Tensor) and t.shape[-1] == width]
        chosen = torch.cat(fitting) if fitting else None
    if not isinstance(chosen, Tensor) or chosen.ndim == 0:
        return []
    return list(chosen.float().reshape(-1, chosen.shape[-1]))
