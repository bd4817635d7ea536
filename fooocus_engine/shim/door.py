"""The door: everything that one process holds while it serves, opened and closed in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp

from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.guarded_http import GuardedHttp
from fooocus_engine.models.places import installed
from fooocus_engine.prompts.styles import installed_styles
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import Settings
from fooocus_engine.shim.bucket import fetched
from fooocus_engine.shim.clerk import Clerk
from fooocus_engine.shim.desk import Archive, Desk, every
from fooocus_engine.shim.gallery import Gallery
from fooocus_engine.shim.ledger import Ledger
from fooocus_engine.shim.listing import Listing
from fooocus_engine.shim.manifest import read_manifest
from fooocus_engine.shim.messages import Messages
from fooocus_engine.shim.outbox import Carriage, Outbox, deliver
from fooocus_engine.shim.payload import Luggage, Packer
from fooocus_engine.shim.platform import Platform
from fooocus_engine.shim.questions import Understanding
from fooocus_engine.shim.settings import ShimSettings
from fooocus_engine.shim.tables import open_database
from fooocus_engine.shim.teller import Teller
from fooocus_engine.shim.tempo import TEMPO, Tempo

TIDY_S = 60.0


@dataclass(frozen=True)
class Door:
    """What the routes work with."""

    settings: ShimSettings
    understanding: Understanding
    platform: Platform
    desk: Desk
    gallery: Gallery
    teller: Teller
    luggage: Luggage | None
    listing: Listing

    def let_go(self) -> None:
        """Nobody is to wait any longer: the process is about to end."""
        self.desk.let_go()
        self.listing.let_go()


@asynccontextmanager
async def opened_door(settings: ShimSettings, engine: Settings, *, tempo: Tempo = TEMPO) -> AsyncIterator[Door]:
    """A door that follows the jobs it knows; at the end of the context all is stored.

    ``engine`` is what doors share with workers: preset, limits, folders, networks, the platform's key.
    """
    manifest = read_manifest(settings.manifest)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        platform = Platform(
            f"{settings.platform_url}/{settings.endpoint_id}", engine.api_key or "", session, patience=tempo.patience
        )
        clerk = Clerk("ledger")
        stack.callback(clerk.close)
        database = await clerk(open_database, settings.database_url(engine.data_dir))
        stack.push_async_callback(clerk, database.dispose)
        outbox = Outbox(Messages(database), clerk)
        stack.push_async_callback(outbox.written)
        gallery = Gallery(
            engine.data_dir, settings.address, None if settings.bucket_urls else partial(fetched, session)
        )
        luggage = Luggage(engine.data_dir / "state" / "inputs", settings.public_url) if settings.public_url else None
        archive = Archive(Ledger(database), clerk, gallery, outbox)
        packer = Packer(settings, luggage)
        desk = Desk(platform, archive, packer, settings, pace=tempo.pace)
        await desk.start()
        stack.push_async_callback(desk.close)
        http = GuardedHttp(Guard(engine.private_urls), timeout_s=tempo.webhook_timeout_s)
        carriage = Carriage(http.post, tempo.webhooks, settings.webhook_secret or None)
        await stack.enter_async_context(_in_background(deliver(outbox, carriage)))
        await stack.enter_async_context(_in_background(every(TIDY_S, lambda: _tidy(desk, luggage))))
        teller = Teller(gallery, settings.bare_base64)
        listing = Listing(platform, packer, settings.sync_timeout_s, manifest)
        yield Door(settings, _understanding(engine), platform, desk, gallery, teller, luggage, listing)


def _understanding(engine: Settings) -> Understanding:
    styles = installed_styles(installed(engine))
    return Understanding(preset_named(engine.preset), styles.legal_names(), engine)


async def _tidy(desk: Desk, luggage: Luggage | None) -> None:
    await desk.tidy()
    if luggage is not None:
        await asyncio.to_thread(luggage.clear)


@asynccontextmanager
async def _in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
