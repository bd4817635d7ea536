"""The worker's own line to the platform: posts the progress of one job where the SDK posts its results.

The SDK's client and address are handed in (platform.md §2.6); each job has a client of its own, made anew after a
broken connection. Knows nothing of order or rates.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import aiohttp

from fooocus_engine.worker.progress import LineDown

log = logging.getLogger(__name__)

POST_TIMEOUT_S = 10.0  # an update that takes longer is not worth waiting for
HEADERS = {"charset": "utf-8", "Content-Type": "application/x-www-form-urlencoded"}  # as the SDK sends results

OpenClient = Callable[[], aiohttp.ClientSession]


class Line:
    """``template`` is the SDK's address of results, with ``$ID`` for the job's id."""

    def __init__(self, open_client: OpenClient, template: str, job_id: str) -> None:
        self._open_client = open_client
        self._url = template.replace("$ID", job_id) + "&isStream=false"
        self._job_id = job_id
        self._client: aiohttp.ClientSession | None = None

    async def post(self, update: dict[str, Any]) -> None:
        """Send ``update`` and wait for the answer. A refusal that repeating cannot change is only logged.

        Raises:
            LineDown: the platform was not reached, or asks to come later.
        """
        body = json.dumps({"status": "IN_PROGRESS", "output": update}, ensure_ascii=False, allow_nan=False)
        self._client = self._client or self._open_client()
        timeout = aiohttp.ClientTimeout(total=POST_TIMEOUT_S)
        try:
            async with self._client.post(self._url, data=body, headers=HEADERS, timeout=timeout) as response:
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            await self.close()
            raise LineDown(type(error).__name__) from error
        if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise LineDown(f"status {status}")
        if status >= HTTPStatus.BAD_REQUEST:
            log.warning("job %s: the platform refuses progress with status %d", self._job_id, status)

    async def close(self) -> None:
        """Give the connection back."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()
