"""A training's state on disk: always a whole file, whenever the run is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch


def save_whole(path: Path, **state: Any) -> None:
    """Write ``state`` beside ``path``, then put it in its place."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)
