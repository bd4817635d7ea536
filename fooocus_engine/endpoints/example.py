"""The example job, and the preset to try things under, on the model that is installed here. No torch.

    python -m fooocus_engine.endpoints.example FILE
    python -m fooocus_engine.endpoints.example --preset

The former prints the job of FILE (``test_input.json``) as the SDK's ``--test_input`` takes it; ``make run`` runs that.
The latter prints a preset; ``make serve`` serves under that.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fooocus_engine.endpoints.generate.presets import Preset, preset_named
from fooocus_engine.models.catalogue import CHECKPOINTS, Catalogue
from fooocus_engine.settings import settings_from_environment

STARTER = "starter"
"""The preset of the shipped model (models.md §3)."""


def on_installed_model(fields: Mapping[str, Any], catalogue: Catalogue, preset: Preset) -> dict[str, Any]:
    """``fields`` of a job for the shipped model, or for the user's own checkpoint where there is one.

    A job under another preset than the shipped model's, or with a checkpoint, has chosen and stays as it is. The
    default checkpoint of ``preset``, the server's, needs no word; else it is the largest of the user's: a refiner is
    smaller than its base.
    """
    own = _own_checkpoints(catalogue)
    if not own or fields.get("preset") != STARTER or "base_model_name" in fields:
        return dict(fields)
    open_fields = {name: value for name, value in fields.items() if name != "preset"}
    if {preset.base_model_name, *preset.previous_default_models}.intersection(own):
        return open_fields
    largest = max(own, key=lambda name: catalogue.find(CHECKPOINTS, name).stat().st_size)
    return {**open_fields, "base_model_name": largest}


def preset_on_installed_model(catalogue: Catalogue, preset: str) -> str:
    """``preset``, the server's, or that of the shipped model where the user has no checkpoint."""
    return preset if _own_checkpoints(catalogue) else STARTER


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the job of a file as JSON, or a preset."""
    parser = argparse.ArgumentParser(description="Print an example job, with the model that is installed here.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", type=Path, nargs="?", metavar="FILE")
    what.add_argument("--preset", action="store_true", help="print the preset for this model instead")
    given = parser.parse_args(arguments)
    settings = settings_from_environment()
    catalogue = Catalogue(settings.models_dir)
    if given.preset:
        sys.stdout.write(preset_on_installed_model(catalogue, settings.preset) + "\n")
        return 0
    job = json.loads(given.file.read_text(encoding="utf-8"))
    fields = on_installed_model(job["input"], catalogue, preset_named(settings.preset))
    sys.stdout.write(json.dumps({**job, "input": fields}) + "\n")
    return 0


def _own_checkpoints(catalogue: Catalogue) -> list[str]:
    return [name for name in catalogue.names(CHECKPOINTS) if not catalogue.is_embedded(name)]


if __name__ == "__main__":
    sys.exit(main())
