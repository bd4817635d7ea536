"""Progress of a bake: a bar for each file and one for all on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from tqdm import tqdm

LINES_APART_S = 15.0


class Bars:
    """Shows bytes that come in. ``sizes`` are those that are known, by name."""

    def __init__(self, sizes: Mapping[str, int | None], had: int, stream: TextIO) -> None:
        total = sum(size or 0 for size in sizes.values()) or None
        self._sizes, self._stream = sizes, stream
        self._each = stream.isatty()
        pause = 0.2 if self._each else LINES_APART_S
        self._all = self._bar("all", total, initial=had, mininterval=pause, maxinterval=pause)
        self._bars: dict[str, tqdm[None]] = {}

    def moved(self, name: str, count: int) -> None:
        """``count`` bytes of a file came; negative: they are thrown away."""
        self._all.update(count)
        if not self._each:
            return
        if name not in self._bars:
            self._bars[name] = self._bar(name.rpartition("/")[2], self._sizes.get(name), leave=False)
        self._bars[name].update(count)

    def done(self, name: str) -> None:
        """The file has its name."""
        with suppress(KeyError):
            self._bars.pop(name).close()

    def _bar(self, label: str, total: int | None, **more: object) -> tqdm[None]:
        return tqdm(desc=label[:32], total=total, unit="B", unit_scale=True, file=self._stream, **more)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in (*self._bars.values(), self._all):
            bar.close()
