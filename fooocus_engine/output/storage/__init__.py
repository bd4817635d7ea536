"""Chooses where finished pictures go, by the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from fooocus_engine.output.storage.base import Storage
from fooocus_engine.output.storage.folder import FolderStorage
from fooocus_engine.output.storage.inline import InlineStorage
from fooocus_engine.settings import Settings


def open_storage(settings: Settings, *, today: Callable[[], date] = date.today) -> Storage:
    """The storage that ``settings.storage`` names: ``inline`` or ``folder``."""
    if settings.storage == "folder":
        return FolderStorage(settings.outputs_dir, today)
    return InlineStorage()
