"""``python -m builder.manifest FOLDER``: what a worker with this models folder answers to all-models, as JSON.

Written into the image; the HTTP API answers from it while no worker is awake (``SHIM_MANIFEST``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fooocus_engine.endpoints.generate.presets import presets
from fooocus_engine.endpoints.listing.run import list_models_in_detail
from fooocus_engine.models.catalogue import KINDS, Catalogue


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the manifest."""
    parser = argparse.ArgumentParser(description="Print what a worker answers to all-models with details.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="models folder")
    catalogue = Catalogue(parser.parse_args(arguments).folder)
    sys.stdout.write(json.dumps(list_models_in_detail(catalogue, kinds=KINDS, presets=presets())) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
