"""A model's pictures by several processes at once, one thread each, so that none depends on how many there are."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Protocol

import cv2
import torch
from PIL import Image

from builder.starter.painter import Painter, Wanted
from fooocus_engine.models.upscaler import Upscaler

TIMED_THREADS = 2


class Studio(Protocol):
    """Where what is measured comes from."""

    def has(self, kind: str, file: str) -> bool:
        """Whether this companion of the model is installed."""

    def pictures(self, wanted: Iterable[Wanted]) -> list[Image.Image]:
        """The pictures, RGB, in this order."""

    def seconds(self, wanted: Wanted) -> float:
        """What this picture takes on two cores, models loaded."""

    def upscaler(self) -> Upscaler:
        """The upscaler of the model's pictures."""


class Painters:
    """The studio of a model; a context manager, at whose end its processes go."""

    def __init__(self, models: Path, model: str | None, processes: int) -> None:
        """``models`` is a models folder; ``model`` a checkpoint in it, ``None`` for the shipped one.

        ``processes`` is how many paint; each wants a core.

        Raises:
            ModelUnavailable: there is no such checkpoint.
        """
        self._here = Painter(models, model)
        self._paint = partial(_painted, models, model)
        # A fork would inherit torch's locks, but not the threads that hold them.
        self._processes = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))

    def __enter__(self) -> Painters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.shutdown(cancel_futures=True)

    def has(self, kind: str, file: str) -> bool:
        """Whether this companion of the model is installed."""
        return self._here.has(kind, file)

    def pictures(self, wanted: Iterable[Wanted]) -> list[Image.Image]:
        """The pictures, RGB, in this order."""
        return list(self._processes.map(self._paint, wanted))

    def seconds(self, wanted: Wanted) -> float:
        """What this picture takes on two cores, models loaded."""
        threads = torch.get_num_threads()
        torch.set_num_threads(TIMED_THREADS)
        try:
            self._here.picture(wanted)  # loads the models
            started = time.perf_counter()
            self._here.picture(wanted)
            return time.perf_counter() - started
        finally:
            torch.set_num_threads(threads)

    def upscaler(self) -> Upscaler:
        """The upscaler of the model's pictures."""
        return self._here.upscaler()


def _painted(models: Path, model: str | None, wanted: Wanted) -> Image.Image:
    return _painter(models, model).picture(wanted)


@lru_cache(maxsize=1)
def _painter(models: Path, model: str | None) -> Painter:
    """This process's own."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return Painter(models, model)
