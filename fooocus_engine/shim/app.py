"""The HTTP application: routes, guards, and what becomes of errors. Serves once its lifespan has opened the door."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fooocus_engine import __version__
from fooocus_engine.errors import EngineError
from fooocus_engine.settings import Settings
from fooocus_engine.shim.access import OPEN_FOLDERS, OPEN_PATHS, BodyLimit, KeyGuard
from fooocus_engine.shim.door import opened_door
from fooocus_engine.shim.forms import NOTHING
from fooocus_engine.shim.responses import INTERNAL, error_response
from fooocus_engine.shim.routes import add_routes
from fooocus_engine.shim.settings import MB, ShimSettings
from fooocus_engine.shim.tempo import TEMPO, Tempo

log = logging.getLogger(__name__)

GZIP_FROM = 1000  # bytes (api.md §4.11)
GZIP_LEVEL = 4
OWN_HEADERS = ("X-Seed", "X-Job-Id", "X-File-Url", "X-Error", "X-Ignored-Fields", "Retry-After")


def create_app(settings: ShimSettings, engine: Settings, *, tempo: Tempo = TEMPO) -> FastAPI:
    """The application; ``app.state.door`` is there while it serves."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opened_door(settings, engine, tempo=tempo) as door:
            app.state.door = door
            yield

    app = FastAPI(
        title="Fooocus API",
        version=__version__,
        lifespan=lifespan,
        middleware=_guards(settings),
        exception_handlers={EngineError: _engine_error, Exception: _unexpected},
    )
    add_routes(app, engine.preset)
    return app


def _guards(settings: ShimSettings) -> list[Middleware]:
    """From the outside in."""
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    guards = [
        Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["*"],
            allow_headers=["*"],
            allow_credentials=True,
            expose_headers=OWN_HEADERS,
        )
    ]
    if settings.apikey:
        paths = frozenset(OPEN_PATHS) | ({"/ping"} if settings.open_ping else set())
        folders = OPEN_FOLDERS if settings.protect_files else ("/files/", *OPEN_FOLDERS)
        guards.append(Middleware(KeyGuard, key=settings.apikey, open_paths=paths, open_folders=folders))
    guards.append(Middleware(GZipMiddleware, minimum_size=GZIP_FROM, compresslevel=GZIP_LEVEL))
    guards.append(Middleware(BodyLimit, limit=settings.max_body_mb * MB))
    return guards


async def _engine_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, EngineError)
    if error.status >= 500:
        log.warning("%s %s: %s", request.method, request.url.path, error)
    return error_response(error, getattr(request.state, "given", NOTHING))


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed unexpectedly", request.method, request.url.path, exc_info=error)
    return JSONResponse({"detail": INTERNAL}, 500)
