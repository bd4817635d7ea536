"""The pictures of this door: stored once under ``{data}/files/{date}/{name}``, read, converted and deleted there.

Takes what workers returned; gives places. Knows no job's state and no HTTP request.
"""

from __future__ import annotations

import asyncio
import io
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from fooocus_engine.errors import EngineError, StorageFailed
from fooocus_engine.output.encode import (
    MEDIA_TYPES,
    WRITTEN_BY,
    Embedded,
    encode,
    longest_side,
    media_type,
    read_metadata,
)
from fooocus_engine.output.storage.folder import FolderStorage
from fooocus_engine.shim.entries import Picture
from fooocus_engine.shim.results import WorkerPicture, worker_pictures

MAX_PIXELS = 64_000_000  # of a conversion, which holds three bytes for each
BEGINNINGS = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8", "image/webp": b"RIFF"}
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
Fetch = Callable[[str], Awaitable[bytes]]
"""An address in the workers' bucket → what lies there."""


class NotConverted(EngineError):
    """A stored picture cannot be had in another format than its own."""

    status = 406
    type = "not_converted"


class Gallery:
    """``fetch`` brings pictures that a worker left in a bucket; ``None`` hands their addresses on instead."""

    def __init__(
        self, root: Path, address: str, fetch: Fetch | None, *, today: Callable[[], date] = date.today
    ) -> None:
        self._folder = root / "files"
        self._address = address
        self._storage = FolderStorage(root, today)
        self._fetch = fetch

    async def keep(self, output: Any, *, part_id: str, job_id: str) -> tuple[Picture, ...]:
        """Store the pictures of a part's output; doing so again ends in the same files.

        Raises:
            BackendFailed: the output is none of a generation, or a picture cannot be fetched.
            StorageFailed: a picture could not be stored.
        """
        return tuple([await self._keep(found, part_id, job_id) for found in worker_pictures(output, part_id)])

    def address(self, picture: Picture) -> str | None:
        """Where clients find it."""
        return f"{self._address}/files/{quote(picture.file)}" if picture.file else picture.url

    def find(self, day: str, name: str) -> Path | None:
        """The file of a stored picture; ``None`` if there is none of that name, or none can have it."""
        known_type = name.rpartition(".")[2] in MEDIA_TYPES
        if not (DAY.fullmatch(day) and known_type and Path(name).name == name and not name.startswith(".")):
            return None
        path = self._folder / day / name
        return path if path.is_file() else None

    def read(self, picture: Picture) -> bytes | None:
        """Its bytes; ``None`` where they are not kept here, or no longer."""
        path = self.find(*picture.file.split("/", 1)) if picture.file else None
        return path.read_bytes() if path else None

    def delete(self, pictures: Iterable[Picture]) -> None:
        """Remove the files, and folders that are empty then."""
        for picture in pictures:
            if picture.file:
                path = self._folder / picture.file
                path.unlink(missing_ok=True)
                if path.parent.is_dir() and not any(path.parent.iterdir()):
                    path.parent.rmdir()

    async def _keep(self, found: WorkerPicture, part_id: str, job_id: str) -> Picture:
        data = found.data
        if data is None or found.url is not None:
            if self._fetch is None:
                return Picture(found.seed, url=found.url)
            data = await self._fetch(str(found.url)) if data is None else data
        name = found.file_name
        if name.startswith(f"{part_id}-"):
            name = job_id + name.removeprefix(part_id)
        stored = await asyncio.to_thread(
            self._storage.store, data, file_name=name, media_type=media_type_of(name), job=_Owner(job_id)
        )
        if stored.path is None:
            raise StorageFailed("the picture was not stored")
        return Picture(found.seed, file=f"{stored.path.parent.name}/{stored.path.name}")


@dataclass(frozen=True)
class _Owner:
    """The job that a picture belongs to. It is done: nobody gives it up any more."""

    id: str

    def check(self) -> None:
        """It is wanted."""


def media_type_of(name: str) -> str:
    """The media type of a picture's file name; PNG where it tells none."""
    return MEDIA_TYPES.get(name.rpartition(".")[2].lower(), "image/png")


def converted(data: bytes, extension: str) -> bytes:
    """A stored picture in the format of ``extension``, its metadata kept; the very bytes if it has that format.

    Raises:
        NotConverted: it is larger than this door converts, or than that format can be.
    """
    if data.startswith(BEGINNINGS[media_type(extension)]):
        return data
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > MAX_PIXELS or max(image.size) > longest_side(extension):
                raise NotConverted(f"the picture is {image.width}x{image.height} pixels, too large to be converted")
            found = read_metadata(image)
            return encode(image.convert("RGB"), extension, found and Embedded(found.scheme, found.text, WRITTEN_BY))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise NotConverted("the picture is too large to be converted") from None
