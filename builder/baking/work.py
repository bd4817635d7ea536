"""A bake, step by step: what is there, what servers offer, whether there is room, then downloads, several at once."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, TypeVar

import aiohttp

from builder.baking.asking import Patience
from builder.baking.bars import Bars
from builder.baking.choice import path_of
from builder.baking.errors import BakeFailed, NoSpace, WrongContent
from builder.baking.fetching import Fetcher, Wanted, facts_of
from builder.baking.halving import halve
from builder.baking.lock import Facts, Lock, Row
from builder.baking.origin import request_for
from fooocus_engine.models.catalogue import CHECKPOINTS, KnownFile

T = TypeVar("T")

RESERVE = 64 * 1024 * 1024
"""Bytes that must stay free beside what is fetched."""
GB = 1_000_000_000


@dataclass
class Bake:
    """One bake into one folder."""

    into: Path
    lock: Lock
    environment: Mapping[str, str]
    patience: Patience
    parallel: int
    half: bool = False

    async def tell(self, files: Sequence[KnownFile], out: TextIO) -> None:
        """Print every file with its size, as far as it is known or a server tells it, and what is missing."""
        lines, total, unknown = [], 0, 0
        async with self._fetcher() as fetcher:
            found = await asyncio.gather(*(self._told(fetcher, file) for file in files))
        for file, (size, note) in zip(files, found, strict=True):
            total, unknown = total + (size or 0), unknown + (size is None)
            lines.append(f"{_shown(size):>10}  {path_of(file)}{note}")
        more = f" and {unknown} of unknown size" if unknown else ""
        out.write("\n".join([*lines, f"{_shown(total):>10}  {len(files)} files{more}, into {self.into}"]) + "\n")

    async def _told(self, fetcher: Fetcher, file: KnownFile) -> tuple[int | None, str]:
        place = self._place(file)
        if place.is_file():
            return place.stat().st_size, " (there)"
        wanted = self._wanted(file)
        if wanted.facts.bytes is not None:
            return wanted.facts.bytes, ""
        try:
            return (await fetcher.offered(wanted)).bytes, ""
        except BakeFailed as failed:
            return None, f" ({str(failed).removeprefix(f'{wanted.name}: ')})"

    async def carry_out(self, files: Sequence[KnownFile], out: TextIO) -> None:
        """Check what is there, then fetch what is missing.

        Raises:
            BakeFailed: a file failed; the others were fetched all the same. Tells each.
            WrongContent: a file that is there is not the one that is meant. Nothing was fetched.
            NoSpace: nothing was fetched.
        """
        missing = [file for file in files if not self._place(file).is_file()]
        for file in files:
            if file not in missing:
                await self._check_present(file)
        async with self._fetcher() as fetcher:
            wanted = await _all(fetcher.offered(self._wanted(file)) for file in missing)
            self._check_space(wanted)
            had = sum(_size(item.part) for item in wanted if item.resumable)
            with Bars({item.name: item.bytes for item in wanted}, had, sys.stderr) as bars:
                fetcher.moved = bars.moved
                gate = asyncio.Semaphore(self.parallel)
                await _all(self._fetch(fetcher, item, gate, bars) for item in wanted)
        out.write(f"{len(files)} files are in {self.into}, {len(missing)} of them new\n")

    async def _fetch(self, fetcher: Fetcher, wanted: Wanted, gate: asyncio.Semaphore, bars: Bars) -> None:
        async with gate:
            facts = await fetcher.fetch(wanted)
            bars.done(wanted.name)
            await self._keep(wanted.known, facts)

    async def _keep(self, file: KnownFile, facts: Facts) -> None:
        """Halve a file that has come if that is asked for, and note it."""
        assert facts.bytes is not None and facts.sha256 is not None
        kept, place = None, self._place(file)
        halved = self.half and file.kind == CHECKPOINTS and place.suffix == ".safetensors"
        if halved and await asyncio.to_thread(halve, place):
            kept = await asyncio.to_thread(facts_of, place)
        if kept or not file.sha256:
            self.lock.note(file, Row(file.source, facts.bytes, facts.sha256, kept))

    async def _check_present(self, file: KnownFile) -> None:
        """A file that lies there is the one that is meant; if nobody knows, it is from now on.

        Raises:
            WrongContent: it is not.
        """
        known, row = self.lock.facts(file), self.lock.row(file)
        found = await asyncio.to_thread(facts_of, self._place(file), known.md5 is not None)
        if known.sha256 in (None, found.sha256) and known.md5 in (None, found.md5):
            await self._keep(file, found)
        elif not (row and row.kept and row.kept.sha256 == found.sha256):
            raise WrongContent(f"{path_of(file)} lies there with another digest than is known; remove it to fetch it")

    def _check_space(self, wanted: Sequence[Wanted]) -> None:
        sizes = [(item.bytes or 0) - (_size(item.part) if item.resumable else 0) for item in wanted]
        largest = max((item.bytes or 0 for item in wanted), default=0) if self.half else 0
        needed, free = sum(sizes) + largest + RESERVE, shutil.disk_usage(self.into).free
        if wanted and needed > free:
            raise NoSpace(f"{self.into}: {needed / GB:.2f} GB are needed, {free / GB:.2f} GB are free")

    def _wanted(self, file: KnownFile) -> Wanted:
        return Wanted(file, request_for(file.source, self.environment), self._place(file), self.lock.facts(file))

    def _place(self, file: KnownFile) -> Path:
        return self.into / file.kind / file.name

    @asynccontextmanager
    async def _fetcher(self) -> AsyncIterator[Fetcher]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self.patience.stall_s, sock_read=self.patience.stall_s)
        connector = aiohttp.TCPConnector(limit=self.parallel * 2)
        async with aiohttp.ClientSession(
            timeout=timeout, connector=connector, trust_env=True, auto_decompress=False
        ) as session:
            yield Fetcher(session, self.patience, lambda name, count: None)


async def _all(actions: Iterable[Awaitable[T]]) -> list[T]:
    """What all give. One that fails stops no other.

    Raises:
        BakeFailed: of the first kind that failed, with every message.
    """
    results = await asyncio.gather(*actions, return_exceptions=True)
    failures = [result for result in results if isinstance(result, BaseException)]
    if others := [failure for failure in failures if not isinstance(failure, BakeFailed)]:
        raise others[0]
    if failures:
        worst = max(failures, key=lambda failure: getattr(failure, "status", 1))
        raise type(worst)("\n".join(map(str, failures)))
    return [result for result in results if not isinstance(result, BaseException)]


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _shown(size: int | None) -> str:
    if size is None:
        return "unknown"
    return f"{size / GB:.2f} GB" if size >= GB else f"{size / 1_000_000:.2f} MB"
