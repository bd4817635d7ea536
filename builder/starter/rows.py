"""A measured number beside its target, as the evaluation prints it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A measured number and what it must reach; ``None`` = only reported."""

    name: str
    value: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    def __str__(self) -> str:
        goal = f">= {self.least:.2f}" if self.least is not None else f"<= {self.most:.2f}" if self.most else ""
        return f"  {self.name:<44} {self.value:6.3f}  {goal:<8} {'' if self.met else 'MISSED'}".rstrip()
