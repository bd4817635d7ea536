"""The room's door: a finished picture goes in, what the reply tells of it comes out.

Names, encodes and stores it. Does not know where pictures are kept, nor what their metadata says.
"""

from __future__ import annotations

import base64
from typing import Any

from fooocus_engine.output.encode import Embedded, encode, media_type
from fooocus_engine.output.names import plain_name
from fooocus_engine.output.storage.base import Owner, Storage
from fooocus_engine.types import GeneratedImage, ImageResult, OutputSettings


def publish(
    picture: GeneratedImage, output: OutputSettings, *, job: Owner, storage: Storage, software: str
) -> ImageResult:
    """Encode and store one picture. It is in the result itself if it has no address, or if the client wants it.

    ``software`` is the version text written beside the metadata.

    Raises:
        UnknownName: the save extension is none.
        StorageFailed: the picture could not be stored.
        JobCanceled: the job was given up meanwhile.
    """
    embedded = None
    if picture.metadata is not None and output.metadata_scheme is not None:
        embedded = Embedded(output.metadata_scheme, picture.metadata, software)
    media = media_type(output.extension)
    data = encode(picture.image, output.extension, embedded)
    name = file_name(output, picture.index, job.id)
    stored = storage.store(data, file_name=name, media_type=media, job=job)
    inside = stored.url is None or output.with_base64
    return ImageResult(
        seed=str(picture.seed),
        file_name=stored.file_name,
        width=picture.image.width,
        height=picture.image.height,
        base64=data_url(data, media) if inside else None,
        url=stored.url,
        blacked_out=picture.blacked_out,
    )


def file_name(output: OutputSettings, index: int, job_id: str) -> str:
    """``{save name or job id}-{index}.{extension}`` (api.md §5 item 5), characters that no file name may have replaced.

    A stem of more than 200 bytes is cut, so that every file system can hold the name.
    """
    return f"{plain_name(output.name or job_id)}-{index}.{output.extension}"


def data_url(data: bytes, media: str) -> str:
    """``data`` as a base64 data URL."""
    return f"data:{media};base64,{base64.b64encode(data).decode('ascii')}"


def result_fields(result: ImageResult) -> dict[str, Any]:
    """One entry of a reply's ``job_result`` (api.md §6.3); ``nsfw`` only where a picture was blacked out."""
    flag = {"nsfw": True} if result.blacked_out else {}
    return {
        "base64": result.base64,
        "url": result.url,
        "seed": result.seed,
        "finish_reason": result.finish_reason,
        "file_name": result.file_name,
        "width": result.width,
        "height": result.height,
        **flag,
    }
