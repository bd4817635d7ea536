"""``python -m fooocus_engine.local_platform``: the platform's queue and its workers on one machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable

from fooocus_engine.errors import EngineError
from fooocus_engine.local_platform.serving import Options, serve
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import settings_from_environment

MOST_WORKERS = 64
WORKERS_HELP = "processes that run handler.py; 0 leaves the queue to workers elsewhere (%(default)s)"


def whole(low: int, high: int) -> Callable[[str], int]:
    """Reads a whole number of that range."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text[:9]) <= high):
            raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: {low} to {high}")
        return int(text)

    return read


def options(arguments: list[str] | None = None) -> Options:
    """What the command line and the environment ask for.

    Raises:
        BadSetting: a variable holds a value that is not allowed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m fooocus_engine.local_platform",
        description="A durable stand-in of the RunPod queue on this machine, with workers that run handler.py.",
    )
    parser.add_argument("--host", default=Options.host, help="address to listen on (%(default)s)")
    parser.add_argument("--port", default=Options.port, type=whole(0, 65535), help="(%(default)s)")
    parser.add_argument("--workers", default=Options.workers, type=whole(0, MOST_WORKERS), help=WORKERS_HELP)
    given = parser.parse_args(arguments)
    settings = settings_from_environment()
    return Options(
        state=settings.data_dir / "state",
        show=show,
        host=given.host,
        port=given.port,
        workers=given.workers,
        api_key=settings.api_key,
        guard=Guard(settings.private_urls),
    )


def show(line: str) -> None:
    """A line of a worker."""
    sys.stdout.write(line)
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Serve; the process's exit status."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve(options(arguments)))
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
