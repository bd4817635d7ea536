"""HTTP for downloads: one GET, its refusals sorted into those worth another try and those that are not, and the tries.

Knows nothing of files on disk.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TypeVar

import aiohttp

from builder.baking.errors import BakeFailed
from builder.baking.origin import Request

T = TypeVar("T")

TRY_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)
PLAIN = {"Accept-Encoding": "identity", "User-Agent": "fooocus-engine-bake"}
HINTS = {
    HTTPStatus.UNAUTHORIZED: "; it wants a token: HF_TOKEN, GITHUB_TOKEN or CIVITAI_TOKEN",
    HTTPStatus.FORBIDDEN: "; the token may not read it, or its licence has not been accepted there",
}


class Interrupted(Exception):
    """The server or the line failed in a way that may pass. ``wait_s`` is what the server asked for."""

    def __init__(self, why: str, wait_s: float = 0.0) -> None:
        super().__init__(why)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Patience:
    """How often and how long. Times are seconds."""

    tries: int = 8
    """In a row without ``worth`` bytes gained."""
    worth: int = 16 * 1024 * 1024
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    longest_wait_s: float = 300.0
    """Of what a server may ask for in Retry-After."""
    stall_s: float = 60.0
    """Without a byte; then the connection is given up."""
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)

    def pause_s(self, failures: int, asked_s: float) -> float:
        """Before the next try: doubling, with up to a quarter of chance, and no less than the server asked for."""
        own = min(self.first_pause_s * 2.0 ** (failures - 1), self.longest_pause_s) * random.uniform(1.0, 1.25)
        return max(own, min(asked_s, self.longest_wait_s))


async def persisting(action: Callable[[], Awaitable[T]], patience: Patience, gained: Callable[[], int], name: str) -> T:
    """What ``action`` gives, tried again while it is interrupted. ``gained`` counts the bytes of all tries.

    Raises:
        BakeFailed: it was interrupted too often in a row.
    """
    failures, before = 0, gained()
    while True:
        try:
            return await action()
        except Interrupted as interrupted:
            if gained() - before >= patience.worth:
                failures, before = 0, gained()
            failures += 1
            if failures >= patience.tries:
                raise BakeFailed(f"{name}: {interrupted}; given up after {failures} tries") from None
            await patience.sleep(patience.pause_s(failures, interrupted.wait_s))


@asynccontextmanager
async def answer(
    session: aiohttp.ClientSession, request: Request, name: str, **headers: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """The answer to a GET: 200 or 206, uncompressed, and no page.

    Raises:
        Interrupted: a failure that may pass, also one while the body is read.
        BakeFailed: any other.
    """
    try:
        async with session.get(request.url, headers={**PLAIN, **request.headers, **headers}) as response:
            _check(response, name)
            yield response
    except (aiohttp.InvalidURL, aiohttp.TooManyRedirects) as error:
        raise BakeFailed(f"{name}: {type(error).__name__}") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise Interrupted(type(error).__name__) from error


def _check(response: aiohttp.ClientResponse, name: str) -> None:
    status = response.status
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in TRY_AGAIN:
        raise Interrupted(f"the server answered {status}", _retry_after_s(response.headers.get("Retry-After", "")))
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise BakeFailed(f"{name}: {response.url.host} answered {status}{HINTS.get(HTTPStatus(status), '')}")
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding != "identity" or response.content_type == "text/html":
        what = "a page" if encoding == "identity" else f"{encoding} of it"
        raise BakeFailed(f"{name}: {response.url.host} sent {what} in place of the file")


def _retry_after_s(text: str) -> float:
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0


@dataclass(frozen=True)
class Offer:
    """What a server says of a file before it is fetched."""

    bytes: int | None
    etag: str | None
    """A strong one: the same etag is the same bytes."""
    sha256: str | None
    """Told by the Hugging Face hub for large files."""


NOTHING_TOLD = Offer(None, None, None)


def offer_of(response: aiohttp.ClientResponse) -> Offer:
    """What an answer to ``Range: bytes=0-0``, or to a plain GET, says of the whole file."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if response.status == HTTPStatus.OK:
        total = response.headers.get("Content-Length", "")
    etag = response.headers.get("ETag", "")
    linked = (hop.headers.get("X-Linked-ETag", "").strip('"') for hop in (*response.history, response))
    return Offer(
        bytes=int(total) if total.isdecimal() else None,
        etag=etag if etag.startswith('"') else None,
        sha256=next((digest for digest in linked if re.fullmatch("[0-9a-f]{64}", digest)), None),
    )
