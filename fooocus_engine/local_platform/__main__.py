"""``python -m fooocus_engine.local_platform``: the platform's queue and its workers on one machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from fooocus_engine.errors import EngineError
from fooocus_engine.local_platform.serving import Options, serve
from fooocus_engine.settings import settings_from_environment

LAST_PORT = 65535
MOST_WORKERS = 64


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
    parser.add_argument(
        "--port", default=Options.port, type=int, choices=range(LAST_PORT + 1), metavar="PORT", help="(%(default)s)"
    )
    parser.add_argument(
        "--workers",
        default=Options.workers,
        type=int,
        choices=range(MOST_WORKERS + 1),
        metavar="N",
        help="(%(default)s)",
    )
    given = parser.parse_args(arguments)
    settings = settings_from_environment()
    return Options(
        state=settings.data_dir / "state",
        show=show,
        host=given.host,
        port=given.port,
        workers=given.workers,
        api_key=settings.api_key,
        allow_private_webhooks=settings.allow_private_urls,
    )


def show(line: str) -> None:
    """A line of a worker."""
    sys.stdout.write(line)
    sys.stdout.flush()


def main() -> int:
    """Serve; the process's exit status."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(serve(options()))
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
