"""What must hold before a worker takes its first job; the SDK runs these as fitness checks (platform.md §9).

A check that raises ends the process, and its message is reported to the platform. What the engine can do is asked of
the engine; torch is not imported.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from fooocus_engine.errors import EngineError
from fooocus_engine.settings import Settings

GB = 1_000_000_000

Check = Callable[[], None]


class Unfit(EngineError):
    """This worker cannot serve. Read by who runs it, not by clients."""


class SelfAware(Protocol):
    """What the checks ask of an engine."""

    def load_default(self) -> str | None:
        """Load the models of the default preset, or find them loaded.

        Raises:
            EngineError: they are installed, but cannot be used.
        """

    def free_device_bytes(self) -> int | None:
        """Free memory of the device; ``None`` where it has none of its own."""


def fitness_checks(settings: Settings, engine: SelfAware) -> tuple[Check, ...]:
    """The checks, in the order in which they are to run. The SDK reports a failed one by the name of its function."""

    def models() -> None:
        folders = {settings.models_dir, *settings.more_models_dirs} - {Settings().models_dir}
        if lost := [str(folder) for folder in folders if not _is_readable(folder)]:
            raise Unfit(f"FOOOCUS_MODELS_DIR names {', '.join(map(repr, lost))}: no readable folder")
        engine.load_default()

    def device_memory() -> None:
        free, wanted = engine.free_device_bytes(), settings.min_free_gb * GB
        if free is not None and free < wanted:
            raise Unfit(
                f"{free / GB:.2f} GB of device memory are free beside the models; "
                f"FOOOCUS_MIN_FREE_GB wants {settings.min_free_gb:g}"
            )

    def write_access() -> None:
        _write_into(Path(tempfile.gettempdir()))
        if settings.storage == "folder":
            _write_into(settings.outputs_dir)

    return models, device_memory, write_access


def _is_readable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def _write_into(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
            file.flush()
    except OSError as error:
        raise Unfit(f"cannot write into {str(folder)!r}: {error.strerror or type(error).__name__}") from error
