"""Brings pictures that workers left in their bucket. The addresses come from workers, never from clients."""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from fooocus_engine.errors import BackendFailed

log = logging.getLogger(__name__)

PAUSES_S = (1.0, 3.0)  # before the second and the third try
TIMEOUT_S = 60.0
MAX_BYTES = 200_000_000


async def fetched(session: aiohttp.ClientSession, url: str) -> bytes:
    """What lies at ``url``.

    Raises:
        BackendFailed: it could not be fetched in three tries.
    """
    for pause_s in (*PAUSES_S, None):
        try:
            async with session.get(url, timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as reply:
                reply.raise_for_status()
                data = await reply.content.read(MAX_BYTES + 1)
                while len(data) <= MAX_BYTES and (more := await reply.content.read(MAX_BYTES + 1 - len(data))):
                    data += more
                break
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("a picture could not be fetched from the bucket: %s", type(error).__name__)
            if pause_s is None:
                raise BackendFailed("a picture could not be fetched from the bucket") from None
            await asyncio.sleep(pause_s)
    if len(data) > MAX_BYTES:
        raise BackendFailed(f"a picture in the bucket has more than {MAX_BYTES // 1_000_000} MB")
    return data
