"""What a job tells the world while it runs: small frozen facts. Knows nothing of who listens, nor of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_PREVIEW_BYTES = 300_000  # of a step's PNG (api.md §6.7)


@dataclass(frozen=True)
class Stage:
    """A phase has begun. ``percent`` is 0–99."""

    percent: int
    text: str


@dataclass(frozen=True)
class Step:
    """The sampler has reached a noise level of one image."""

    percent: int
    text: str
    image: int
    """Counted from 0, as ``step`` is."""
    step: int
    total: int
    preview: bytes | None = None
    """A PNG of at most ``MAX_PREVIEW_BYTES``; ``None`` when no picture of this step was made."""


@dataclass(frozen=True)
class ImageReady:
    """One image is finished and stored. ``url`` is its address if it has one."""

    image: int
    file_name: str
    url: str | None = None


@dataclass(frozen=True)
class Finished:
    """All is done and stored."""

    percent: int = 100
    text: str = "Finished"


@dataclass(frozen=True)
class Failed:
    """The job ended with an error; ``detail`` may be shown to clients."""

    detail: str


@dataclass(frozen=True)
class Canceled:
    """The job ended because its client gave it up."""


Event = Stage | Step | ImageReady | Finished | Failed | Canceled
Sink = Callable[[Event], None]
