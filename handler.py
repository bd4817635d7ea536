"""The worker's entry: reads the checkpoint ahead while it imports, builds the engine, and serves jobs through the SDK.

Without the platform's variables the SDK runs `test_input.json` once and prints the reply.
"""

import gc
import logging
import sys
import time

from fooocus_engine.models.catalogue import CHECKPOINTS
from fooocus_engine.models.places import installed
from fooocus_engine.models.prefetch import read_largest
from fooocus_engine.settings import settings_from_environment


def main() -> None:
    """Serve jobs until the platform ends the process."""
    started = time.perf_counter()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    settings = settings_from_environment()
    read_largest(installed(settings).files(CHECKPOINTS))

    # Imports take seconds; the checkpoint is read meanwhile. Hardly any of the million objects they make is garbage.
    gc.disable()
    from fooocus_engine.worker.sdk import serve

    with_sdk = time.perf_counter()
    from fooocus_engine.engine import Engine

    gc.freeze()
    gc.enable()
    imported = time.perf_counter()
    engine = Engine(settings)
    engine.warm_up()
    ready = time.perf_counter()
    phases = (("SDK", with_sdk - started), ("engine", imported - with_sdk), ("models", ready - imported))
    told = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in phases)
    logging.getLogger("handler").info("ready after %.2f s: %s", ready - started, told)
    serve(engine, settings)


if __name__ == "__main__":
    main()
