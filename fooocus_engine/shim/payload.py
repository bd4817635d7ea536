"""Gets requests through the platform's limits of size (api.md §6.4).

What fits goes by ``run``; what somebody waits for may go by ``runsync``, which takes more. Where neither fits, lossless
pictures are made lossy if that is allowed, then pictures are left with this door under an address that the worker
fetches, if workers can reach it. Else the request is refused, naming the limit.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from fooocus_engine.output.encode import encode
from fooocus_engine.shim.platform import BodyTooLarge
from fooocus_engine.shim.settings import MB, ShimSettings

PICTURE_CHARACTERS = 20_000  # shorter texts are not worth the trouble
LOSSLESS = ("PNG", "BMP", "TIFF", "GIF")
LOSSY = "webp"
KEPT_S = 86_400  # the platform's ttl: no job can begin later
MAX_PIXELS = 64_000_000  # api.md §2.5
Change = Callable[[bytes, Image.Image], str | None]
"""A picture's bytes and its opened header → the text that stands for it; ``None`` leaves it as it is."""


@dataclass(frozen=True)
class Parcel:
    """A request body that the platform takes."""

    body: bytes
    by_runsync: bool
    """Too large for ``run``."""

    @classmethod
    def of(cls, given: Mapping[str, Any], policy: Mapping[str, Any] | None, run_limit: int) -> Parcel:
        envelope = {"input": given} | ({"policy": policy} if policy else {})
        body = json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(body, len(body) > run_limit)


class Luggage:
    """Pictures that workers fetch from this door, under names that cannot be guessed."""

    def __init__(self, folder: Path, public_url: str) -> None:
        self._folder = folder
        self._public_url = public_url

    def left(self, data: bytes, image: Image.Image) -> str:
        """The address under which ``data`` may be fetched from now on."""
        name = secrets.token_urlsafe(32)
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / name).write_bytes(data)
        return f"{self._public_url}/inputs/{name}"

    def find(self, name: str) -> Path | None:
        """The file of that name, if it was left here."""
        path = self._folder / name
        return path if path.name == name and path.is_file() else None

    def clear(self) -> None:
        """Remove what no job can need any more."""
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.stat().st_mtime < time.time() - KEPT_S:
                    path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Packer:
    """Packs inputs of platform jobs. ``luggage`` is ``None`` where workers cannot reach this door."""

    settings: ShimSettings
    luggage: Luggage | None

    async def pack(self, given: Mapping[str, Any], *, policy: Mapping[str, Any] | None, waited_for: bool) -> Parcel:
        """The body of a job with the input ``given``, small enough. Only one that is waited for may go by runsync.

        Raises:
            BodyTooLarge: it cannot be made to fit; names the limit.
        """
        limits = (self.settings.run_limit_mb * MB, (self.settings.runsync_limit_mb if waited_for else 0) * MB)
        first = parcel = Parcel.of(given, policy, limits[0])
        for change in self._changes():
            if len(parcel.body) <= max(limits):
                return parcel
            given = await asyncio.to_thread(changed, given, change)
            parcel = Parcel.of(given, policy, limits[0])
        if len(parcel.body) <= max(limits):
            return parcel
        raise BodyTooLarge(
            f"the request has {len(first.body) / MB:.1f} MB with its pictures as base64, and the platform takes "
            f"{max(limits) // MB} MB; send smaller pictures, or http addresses of them"
        )

    def _changes(self) -> Iterator[Change]:
        """What may be done to the pictures, one after the other."""
        if self.settings.shrink_inputs:
            yield _lossy
        if self.luggage is not None:
            yield self.luggage.left


def changed(value: Any, change: Change) -> Any:
    """``value`` with every picture in it, at any depth, changed."""
    match value:
        case str() if len(value) >= PICTURE_CHARACTERS:
            return _changed_text(value, change)
        case Mapping():
            return {name: changed(item, change) for name, item in value.items()}
        case list():
            return [changed(item, change) for item in value]
        case _:
            return value


def _changed_text(text: str, change: Change) -> str:
    try:
        data = base64.b64decode(text.rpartition(",")[2] if text.startswith("data:") else text, validate=True)
        with Image.open(io.BytesIO(data)) as image:
            return change(data, image) or text
    except (ValueError, OSError, SyntaxError, Image.DecompressionBombError):
        return text  # no picture that can be read here: the worker tells what is wrong with it


def _lossy(data: bytes, image: Image.Image) -> str | None:
    if image.format not in LOSSLESS or image.width * image.height > MAX_PIXELS:
        return None
    upright = ImageOps.exif_transpose(image)
    kept = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    return base64.b64encode(encode(kept, LOSSY)).decode("ascii")
