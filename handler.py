"""The worker's entry: reads the checkpoint ahead while it imports, builds the engine, and hands its handler to the SDK.

Without the platform's variables the SDK runs `test_input.json` once and prints the reply.
"""

import gc
import logging
import sys
import time

from fooocus_engine.models.prefetch import read_largest
from fooocus_engine.settings import settings_from_environment


def main() -> None:
    """Serve jobs until the platform ends the process."""
    started = time.perf_counter()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    settings = settings_from_environment()
    read_largest(settings.models_dir / "checkpoints")

    # Imports take seconds; the checkpoint is read meanwhile. Hardly any of the million objects they make is garbage.
    gc.disable()
    import runpod

    from fooocus_engine.engine import Engine
    from fooocus_engine.worker.adapter import concurrency_modifier, make_handler

    gc.freeze()
    gc.enable()
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
