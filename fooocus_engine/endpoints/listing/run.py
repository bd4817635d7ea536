"""Answers the listing questions: styles, model files, clean-vram, ping (api.md §4.7, §6.3).

Takes the objects it asks as arguments, behind narrow protocols; keeps nothing. Knows no job and no request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, Protocol

from fooocus_engine.endpoints.generate.performance import MODES
from fooocus_engine.endpoints.generate.presets import NO_MODEL, Preset
from fooocus_engine.models.catalogue import CHECKPOINTS, LORAS, VAES, InstalledFile, KnownFile
from fooocus_engine.types import MODEL_VAE

SHIPPED, OWN = "shipped", "models"
"""Where a file lies: in the package, or in the models folder of the server."""


class Catalogue(Protocol):
    """The model files on disk. A kind is the name of a models folder (models.md §1)."""

    def names(self, kind: str) -> Sequence[str]:
        """File names relative to the kind's folder, in listing order; looks at the disk each time."""
        ...

    def installed(self, kind: str) -> Sequence[InstalledFile]:
        """Every file of the kind, the user's first."""
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
    catalogue: Catalogue, *, kinds: Iterable[str], presets: Mapping[str, Preset], known: Iterable[KnownFile]
) -> dict[str, Any]:
    """The two lists; every file of every kind with its size and where it lies; the presets with their files and older
    names of theirs; and the ``known`` files with where they lie, ``None`` for those that are not installed.
    """
    files = [file for kind in kinds for file in catalogue.installed(kind)]
    where = {(file.kind, file.name): SHIPPED if file.shipped else OWN for file in reversed(files)}
    return {
        **list_models(catalogue),
        "files": [_facts(file) for file in files],
        "presets": list(presets),
        "preset_files": {
            name: [{"kind": kind, "name": file, "where": where.get((kind, file))} for kind, file in files_of(preset)]
            for name, preset in presets.items()
        },
        "previous_names": {preset.base_model_name: list(preset.previous_default_models) for preset in presets.values()},
        "known_files": [
            {"kind": row.kind, "name": row.name, "needed_by": row.needed_by, "where": where.get((row.kind, row.name))}
            for row in known
        ],
    }


def files_of(preset: Preset) -> list[tuple[str, str]]:
    """Kind and name of every file that the values of ``preset`` name or need."""
    mode = MODES[preset.performance_selection]
    loras = [name for name, _ in (*preset.loras, *([mode.lora] if mode.lora else []))]
    named = [
        (CHECKPOINTS, preset.base_model_name),
        (CHECKPOINTS, preset.refiner_model_name),
        *((LORAS, name) for name in loras),
        (VAES, preset.vae_name),
    ]
    return [(kind, name) for kind, name in named if name not in (NO_MODEL, MODEL_VAE)]


def clean_vram(store: Store) -> dict[str, str]:
    """Frees the models; the next picture loads them again."""
    store.release()
    return {"message": "ok"}


def ping() -> dict[str, str]:
    """A sign of life."""
    return {"message": "pong"}


def _facts(file: InstalledFile) -> dict[str, str | int]:
    folder = (PurePosixPath(file.kind) / file.name).parent
    where = SHIPPED if file.shipped else OWN
    return {"name": file.name, "kind": file.kind, "bytes": file.bytes, "folder": str(folder), "where": where}
