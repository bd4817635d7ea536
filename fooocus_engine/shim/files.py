"""Stored pictures and the small pages: /files, /inputs, / and /health (api.md §4.10, §4.11)."""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from fooocus_engine.errors import EngineError
from fooocus_engine.output.encode import MEDIA_TYPES
from fooocus_engine.shim import replies
from fooocus_engine.shim.accept import stored_format
from fooocus_engine.shim.door import Door
from fooocus_engine.shim.gallery import converted, media_type_of
from fooocus_engine.shim.responses import as_json

TAG_LENGTH = 32  # characters
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept"}
PAGE = '<!DOCTYPE html><html><body><a href="/docs">Fooocus API: documentation</a></body></html>'


async def picture(door: Door, request: Request) -> Response:
    """A stored picture, in the format that ``Accept`` names exactly, else as it is."""
    path = door.gallery.find(request.path_params["date"], request.path_params["file_name"])
    if path is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    extension = stored_format(request.headers.get("accept", ""))
    if extension is None or MEDIA_TYPES[extension] == media_type_of(path.name):
        return FileResponse(path, media_type=media_type_of(path.name), headers=FOREVER)
    body = await asyncio.to_thread(lambda: converted(path.read_bytes(), extension))
    tag = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:TAG_LENGTH]}"'}
    return Response(body, media_type=MEDIA_TYPES[extension], headers=FOREVER | tag)


async def left_input(door: Door, request: Request) -> Response:
    """A picture of a request that was too large to be sent along; only its worker knows the name."""
    path = door.luggage.find(request.path_params["name"]) if door.luggage else None
    if path is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return FileResponse(path, media_type="application/octet-stream")


async def home(door: Door, request: Request) -> Response:
    return HTMLResponse(PAGE)


async def health(door: Door, request: Request) -> Response:
    """How this door is, and the endpoint behind it."""
    open_jobs = len(door.desk.open())
    try:
        found = dict(await door.platform.health())
    except EngineError as error:
        ill = replies.Health(status=str(error), open_jobs=open_jobs, platform=None)
        return as_json(ill, HTTPStatus.SERVICE_UNAVAILABLE)
    return as_json(replies.Health(status="ok", open_jobs=open_jobs, platform=found))
