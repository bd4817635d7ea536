"""The pictures in what a worker returned (api.md §6.3), checked. Pure: nothing is fetched or stored here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fooocus_engine.errors import BackendFailed
from fooocus_engine.output.encode import MEDIA_TYPES

EXTENSIONS = {media: extension for extension, media in MEDIA_TYPES.items() if extension != "jpeg"}


@dataclass(frozen=True)
class WorkerPicture:
    """One entry of ``job_result``: ``data`` is in the reply, or it lies at ``url``."""

    seed: str
    file_name: str
    data: bytes | None = None
    url: str | None = None


def worker_pictures(output: Any, job_id: str) -> tuple[WorkerPicture, ...]:
    """The pictures of a generation's output, in order.

    Raises:
        BackendFailed: it is no such output.
    """
    results = output.get("job_result") if isinstance(output, Mapping) else None
    if not isinstance(results, list) or not results:
        raise BackendFailed("the worker's reply holds no pictures")
    return tuple(_picture(result, f"{job_id}-{index}") for index, result in enumerate(results))


def _picture(result: Any, stem: str) -> WorkerPicture:
    match result:
        case {"base64": str(text)}:
            head, _, body = text.rpartition(",")
            extension = EXTENSIONS.get(head.removeprefix("data:").removesuffix(";base64"), "png")
            try:
                data = base64.b64decode(body, validate=True)
            except (binascii.Error, ValueError):
                raise BackendFailed("a picture in the worker's reply is no base64") from None
            return WorkerPicture(_seed(result), _name(result, f"{stem}.{extension}"), data, _url(result))
        case {"url": str(url)}:
            return WorkerPicture(_seed(result), _name(result, f"{stem}.png"), None, url)
        case _:
            raise BackendFailed("an entry of the worker's reply holds no picture")


def _url(result: Mapping[str, Any]) -> str | None:
    url = result.get("url")
    return url if isinstance(url, str) else None


def _seed(result: Mapping[str, Any]) -> str:
    seed = result.get("seed")
    return "" if seed is None else str(seed)


def _name(result: Mapping[str, Any], otherwise: str) -> str:
    name = result.get("file_name")
    return name if isinstance(name, str) and name else otherwise
