"""The worker's entry: reads the checkpoint ahead while it imports, builds the engine, and hands its handler to the SDK.

Without the platform's variables the SDK runs `test_input.json` once and prints the reply.
"""

import logging
import sys
import time

from fooocus_engine.models.catalogue import CHECKPOINTS, Catalogue
from fooocus_engine.models.prefetch import Prefetch
from fooocus_engine.settings import Settings, settings_from_environment


def read_ahead(settings: Settings) -> None:
    """Start to read the largest installed checkpoint file into the system's cache."""
    catalogue = Catalogue(settings.models_dir)
    files = [catalogue.find(CHECKPOINTS, name) for name in catalogue.names(CHECKPOINTS)]
    if files:
        Prefetch(max(files, key=lambda path: path.stat().st_size)).start()


def main() -> None:
    """Serve jobs until the platform ends the process."""
    started = time.perf_counter()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    settings = settings_from_environment()
    read_ahead(settings)

    # Imports take seconds; the checkpoint is read meanwhile.
    import runpod

    from fooocus_engine.engine import Engine
    from fooocus_engine.worker.adapter import concurrency_modifier, make_handler

    imported = time.perf_counter()
    engine = Engine(settings)
    engine.warm_up()
    ready = time.perf_counter()
    logging.getLogger("handler").info(
        "ready after %.2f s: imports %.2f s, models %.2f s", ready - started, imported - started, ready - imported
    )
    runpod.serverless.start(
        {"handler": make_handler(engine.run, settings), "concurrency_modifier": concurrency_modifier(settings)}
    )


if __name__ == "__main__":
    main()
