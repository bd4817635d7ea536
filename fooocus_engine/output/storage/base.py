"""What a place for finished pictures must do, and what it answers. Knows no place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Stored:
    """Where a picture went: an address that clients can fetch, a file on this machine, or neither."""

    file_name: str
    """The name it got, which differs from the wanted one if that was taken by another job."""
    url: str | None = None
    path: Path | None = None


class Owner(Protocol):
    """The job that a picture belongs to."""

    @property
    def id(self) -> str: ...

    def check(self) -> None:
        """Return if the job is still wanted.

        Raises:
            JobCanceled: it is not.
        """


class Storage(Protocol):
    """Keeps finished pictures. Calls may come from several threads at a time."""

    @property
    def gives_urls(self) -> bool:
        """Whether clients can fetch what is kept, so that it need not travel in the reply."""
        ...

    def store(self, data: bytes, *, file_name: str, media_type: str, job: Owner) -> Stored:
        """Keep ``data``, completely or not at all, and say where.

        Storing the same picture of the same job again ends in the same place.

        Raises:
            StorageFailed: it could not be kept; the message tells no paths.
            JobCanceled: the job was given up meanwhile. A place that takes long asks for it.
        """
        ...
