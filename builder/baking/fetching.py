"""One file: what the server offers, then its bytes, checked, under its own name at last.

Bytes gather in a hidden part file beside the place they are meant for. Its name holds a digest of address, size and
etag, so that a part of something else is never gone on with. Only a complete file that has the right size and digest
gets its name, in one rename.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from glob import escape
from http import HTTPStatus
from pathlib import Path

import aiohttp

from builder.baking.asking import NOTHING_TOLD, Interrupted, Offer, Patience, answer, offer_of, persisting
from builder.baking.choice import path_of
from builder.baking.errors import WrongContent
from builder.baking.lock import Facts
from builder.baking.origin import Request
from fooocus_engine.models.catalogue import KnownFile

BLOCK = 1024 * 1024
FRESH_STARTS = 2
"""Whole downloads of a file whose digest is wrong; a resumed one may have been spoilt on the way."""


@dataclass(frozen=True)
class Wanted:
    """A file that is to be fetched: what it must be, and where it goes."""

    known: KnownFile
    request: Request
    place: Path
    facts: Facts
    offer: Offer = NOTHING_TOLD

    @property
    def name(self) -> str:
        return path_of(self.known)

    @property
    def bytes(self) -> int | None:
        """Its size, as far as anybody has told."""
        return self.facts.bytes or self.offer.bytes

    @property
    def part(self) -> Path:
        """Where its bytes gather."""
        told = f"{self.known.source} {self.offer.bytes} {self.offer.etag or self.offer.sha256 or self.facts.sha256}"
        mark = hashlib.sha256(told.encode()).hexdigest()[:16]
        return self.place.with_name(f".{self.place.name}.{mark}.part")

    @property
    def resumable(self) -> bool:
        """Whether a part is surely of the same bytes, or a digest will tell if it is not; and when it is whole."""
        return self.bytes is not None and bool(
            self.offer.etag or self.offer.sha256 or self.facts.sha256 or self.facts.md5
        )


@dataclass
class Fetcher:
    """Asks through one session; ``moved`` hears of bytes that came, negative when they are thrown away."""

    session: aiohttp.ClientSession
    patience: Patience
    moved: Callable[[str, int], None]

    async def offered(self, wanted: Wanted) -> Wanted:
        """``wanted`` with what the server says of it.

        Raises:
            BakeFailed: the server does not give it.
            WrongContent: the server has another size or digest than is known.
        """

        async def ask() -> Offer:
            async with answer(self.session, wanted.request, wanted.name, Range="bytes=0-0") as response:
                return offer_of(response)

        offer = await persisting(ask, self.patience, lambda: 0, wanted.name)
        for what, known, told in (
            ("size", wanted.facts.bytes, offer.bytes),
            ("sha256", wanted.facts.sha256, offer.sha256),
        ):
            if known is not None and told is not None and known != told:
                raise WrongContent(f"{wanted.name}: the server has {what} {told}, known is {known}")
        return replace(wanted, offer=offer)

    async def fetch(self, wanted: Wanted) -> Facts:
        """Fetch ``wanted``, from where an earlier try ended; its size and digest.

        Raises:
            BakeFailed: the server does not give it, or too slowly.
            WrongContent: what came is not what is known.
        """
        wanted.place.parent.mkdir(parents=True, exist_ok=True)
        forget_parts(wanted.place, but=wanted.part if wanted.resumable else None)
        problem: str | None = None
        for _ in range(FRESH_STARTS):
            await self._complete(wanted)
            facts = await asyncio.to_thread(facts_of, wanted.part, wanted.facts.md5 is not None)
            problem = difference(facts, wanted)
            if problem is None:
                os.replace(wanted.part, wanted.place)
                return facts
            self.moved(wanted.name, -wanted.part.stat().st_size)
            wanted.part.unlink()
        raise WrongContent(f"{wanted.name}: {problem}")

    async def _complete(self, wanted: Wanted) -> None:
        gained = Counter()
        await persisting(lambda: self._go_on(wanted, gained), self.patience, gained.value, wanted.name)

    async def _go_on(self, wanted: Wanted, gained: Counter) -> None:
        have = wanted.part.stat().st_size if wanted.resumable and wanted.part.exists() else 0
        if have and have >= (wanted.bytes or 0):
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        if have and wanted.offer.etag:
            headers["If-Range"] = wanted.offer.etag
        async with answer(self.session, wanted.request, wanted.name, **headers) as response:
            begin = _begin(response, have, wanted)
            if begin < have:
                self.moved(wanted.name, -have)
            with open(wanted.part, "r+b" if begin else "wb") as file:
                file.seek(begin)
                async for block in response.content.iter_chunked(BLOCK):
                    file.write(block)
                    gained.add(len(block))
                    self.moved(wanted.name, len(block))
                    if wanted.bytes is not None and file.tell() > wanted.bytes:
                        break  # more than there can be: the digest or the size will tell
                file.flush()
                os.fsync(file.fileno())
        if wanted.bytes is not None and wanted.part.stat().st_size < wanted.bytes:
            raise Interrupted("the connection ended early")


@dataclass
class Counter:
    """Bytes of one file, over all tries."""

    bytes: int = 0

    def add(self, count: int) -> None:
        self.bytes += count

    def value(self) -> int:
        return self.bytes


def _begin(response: aiohttp.ClientResponse, have: int, wanted: Wanted) -> int:
    """Where the body of this answer belongs; the beginning if the server sends all of it.

    Raises:
        WrongContent: it is a part that nobody asked for, or it does not say how long it is and nothing can be checked.
    """
    if response.status == HTTPStatus.PARTIAL_CONTENT:
        told = response.headers.get("Content-Range", "")
        if not told.startswith(f"bytes {have}-"):
            raise WrongContent(f"{wanted.name}: asked for bytes from {have}, the server sent {told!r}")
        return have
    told_length = response.content_length is not None or response.headers.get("Transfer-Encoding") == "chunked"
    if not told_length and wanted.bytes is None and not (wanted.facts.sha256 or wanted.facts.md5):
        raise WrongContent(f"{wanted.name}: the server tells no size, and neither size nor digest is known")
    return 0


def forget_parts(place: Path, *, but: Path | None = None) -> None:
    """Remove what is left of earlier downloads to ``place``, but for the part that can be gone on with."""
    for part in place.parent.glob(f".{escape(place.name)}.*.part"):
        if part != but:
            with suppress(FileNotFoundError):
                part.unlink()


def facts_of(file: Path, with_md5: bool = False) -> Facts:
    """Size and digests of a file that lies on disk."""
    with open(file, "rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    md5 = None
    if with_md5:
        with open(file, "rb") as content:
            md5 = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return Facts(file.stat().st_size, sha256, md5)


def difference(facts: Facts, wanted: Wanted) -> str | None:
    """What ``facts`` lack of what ``wanted`` must be, in words; ``None`` if they agree."""
    for what, known, found in (
        ("bytes", wanted.bytes, facts.bytes),
        ("sha256", wanted.facts.sha256 or wanted.offer.sha256, facts.sha256),
        ("md5", wanted.facts.md5, facts.md5),
    ):
        if known is not None and known != found:
            return f"{what} {found} came, {known} is known"
    return None
