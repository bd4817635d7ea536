"""Starts the local platform for tests, with what its command line does not offer: a handler of its own, and faults."""

import argparse
import asyncio
import json
import logging
import sys
from pathlib import Path

from fooocus_engine.local_platform.__main__ import show
from fooocus_engine.local_platform.serving import Options, serve
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import EVERY_NETWORK
from tests.local_platform.faults import Faults

SCRIPTED = Path(__file__).with_name("scripted_handler.py")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("state", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--handler", type=Path, default=SCRIPTED)
    parser.add_argument("--variables", type=json.loads, default={})
    parser.add_argument("--hold", type=float, default=25.0)
    parser.add_argument("--grace", type=float, default=60.0)
    parser.add_argument("--faults", type=json.loads, default={})
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    options = Options(
        state=given.state,
        show=show,
        port=given.port,
        workers=given.workers,
        handler=given.handler,
        guard=Guard(private=EVERY_NETWORK),
        worker_variables=given.variables,
        grace_s=given.grace,
        hold_s=given.hold,
        middlewares=(Faults(**given.faults).middleware(),),
    )
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
