"""``python -m builder.manifest FOLDER``: what a worker with this models folder answers to all-models, as JSON.

Asks the engine itself. Written into the image; the HTTP API answers from it while no worker is awake
(``SHIM_MANIFEST``).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fooocus_engine.engine import Engine
from fooocus_engine.jobs.job import Job
from fooocus_engine.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the manifest."""
    parser = argparse.ArgumentParser(description="Print what a worker answers to all-models with details.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="models folder")
    engine = Engine(Settings(models_dir=parser.parse_args(arguments).folder, device="cpu"))
    answer = engine.run({"endpoint": "all-models", "details": True}, Job("manifest", lambda event: None))
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
