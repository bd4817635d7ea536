"""Answers the listing questions: styles, model files, clean-vram, ping (api.md §4.7, §6.3).

Takes the objects it asks as arguments, behind narrow protocols; keeps nothing. Knows no job and no request.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from fooocus_engine.models.catalogue import CHECKPOINTS, LORAS


class Catalogue(Protocol):
    """The model files on disk. A kind is the name of a models folder (models.md §1)."""

    def names(self, kind: str) -> Sequence[str]:
        """File names relative to the kind's folder, in listing order; looks at the disk each time."""
        ...

    def find(self, kind: str, name: str) -> Path:
        """Where that file lies."""
        ...


class Store(Protocol):
    """What holds models in memory."""

    def release(self) -> None:
        """Let go of everything."""
        ...


def list_styles(styles: Iterable[str]) -> list[str]:
    """Every style name, in reference order."""
    return list(styles)


def list_models(catalogue: Catalogue) -> dict[str, list[str]]:
    """The answer of all-models and of refresh-models: exactly the two documented lists, read from the disk now."""
    return {
        "model_filenames": list(catalogue.names(CHECKPOINTS)),
        "lora_filenames": list(catalogue.names(LORAS)),
    }


def list_models_in_detail(
    catalogue: Catalogue, *, kinds: Iterable[str], presets: Iterable[str]
) -> dict[str, list[Any]]:
    """The two lists, and every file of every kind with its size in bytes, and the presets' names."""
    files = [_facts(catalogue, kind, name) for kind in kinds for name in catalogue.names(kind)]
    return {**list_models(catalogue), "files": files, "presets": list(presets)}


def clean_vram(store: Store) -> dict[str, str]:
    """Frees the models; the next picture loads them again."""
    store.release()
    return {"message": "ok"}


def ping() -> dict[str, str]:
    """A sign of life."""
    return {"message": "pong"}


def _facts(catalogue: Catalogue, kind: str, name: str) -> dict[str, str | int]:
    folder = (PurePosixPath(kind) / name).parent
    return {"name": name, "kind": kind, "bytes": catalogue.find(kind, name).stat().st_size, "folder": str(folder)}
