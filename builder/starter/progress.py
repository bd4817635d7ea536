"""A training log as CSV: ``step,seconds,name,value`` lines, means of what was added since the last flush."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path

Points = list[tuple[float, float]]


def read(path: Path) -> dict[str, Points]:
    """The curves of a log: (step, value) by name, in order of steps; of a step done twice the later value."""
    curves: dict[str, dict[float, float]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        step, _, name, value = line.split(",")
        curves[name][float(step)] = float(value)
    return {name: sorted(curve.items()) for name, curve in curves.items()}


class Log:
    """Appends to a file; an earlier run's lines stay."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, list[float]] = defaultdict(list)
        self._started = time.monotonic()
        self._step = 0

    def add(self, step: int, **values: float) -> None:
        """Note values of a step."""
        self._step = step
        for name, value in values.items():
            self._values[name].append(value)

    def flush(self) -> None:
        """Write the means."""
        seconds = time.monotonic() - self._started
        with self._path.open("a", encoding="utf-8") as file:
            for name, values in self._values.items():
                file.write(f"{self._step},{seconds:.0f},{name},{sum(values) / len(values):.5f}\n")
        self._values.clear()
