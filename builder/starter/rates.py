"""How a learning rate goes over a training of known length."""

from __future__ import annotations


def falling(step: int, steps: int, warm: int) -> float:
    """Share of the peak rate: a rise over ``warm`` steps, then a straight fall to nothing at the last step."""
    return min(1.0, (step + 1) / warm) * (1 - step / steps)
