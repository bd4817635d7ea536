"""The HTTP API, until Ctrl-C: ``python -m fooocus_engine.shim [--local]``.

Alone it stands in front of the endpoint that the environment names; with ``--local`` this process is also the platform,
and starts its workers.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from dataclasses import replace

from fooocus_engine.errors import EngineError
from fooocus_engine.local_platform import serving as platform
from fooocus_engine.local_platform.app import ENDPOINT
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import BadSetting, Settings, environment_with, settings_from_environment
from fooocus_engine.shim.serving import opened, run, serve
from fooocus_engine.shim.settings import ShimSettings, shim_settings

LOOPBACK = "127.0.0.1"


async def serve_with_platform(settings: ShimSettings, engine: Settings) -> None:
    """The platform ends first, on SIGINT or SIGTERM: what its workers have in hand may still be answered."""
    here = replace(settings, platform_url=f"http://{LOOPBACK}:{settings.local_port}/v2", endpoint_id=ENDPOINT)
    behind = platform.Options(
        state=engine.data_dir / "state",
        show=show,
        host=LOOPBACK,
        port=settings.local_port,
        workers=settings.workers,
        api_key=engine.api_key,
        guard=Guard(engine.private_urls),
        worker_variables={"FOOOCUS_PRESET": engine.preset},
    )
    with opened(here, engine) as (server, listener):
        async with asyncio.TaskGroup() as group:
            group.create_task(run(server, listener))
            await platform.serve(behind)
            server.end()


def show(line: str) -> None:
    """A line of a worker."""
    sys.stdout.write(line)
    sys.stdout.flush()


def main() -> int:
    """Serve; the process's exit status."""
    failures: tuple[Exception, ...] = ()
    try:
        settings = shim_settings(None, environment_with({}))
        logging.basicConfig(
            level=settings.log_level.upper(), stream=sys.stdout, format="%(levelname)s %(name)s: %(message)s"
        )
        engine = settings_from_environment()
        engine = replace(engine, preset=settings.preset or engine.preset)
        if not (settings.local or settings.endpoint_id):
            raise BadSetting("RUNPOD_ENDPOINT_ID is not set: name the endpoint to stand for, or start with --local")
        asyncio.run(serve_with_platform(settings, engine) if settings.local else serve(settings, engine))
    except* EngineError as group:
        failures = group.exceptions
    for error in failures:
        sys.stderr.write(f"{error}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
