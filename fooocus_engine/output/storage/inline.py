"""Stores nothing: the picture travels in the reply."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fooocus_engine.output.storage.base import Owner, Stored


@dataclass(frozen=True)
class InlineStorage:
    """A storage without a place, so that every reply carries its pictures."""

    gives_urls: ClassVar[bool] = False

    def store(self, data: bytes, *, file_name: str, media_type: str, job: Owner) -> Stored:
        """The wanted name; nothing is kept."""
        return Stored(file_name)
