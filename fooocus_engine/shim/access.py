"""Who may come in: the API key, and the size of what is brought (api.md §4.9, §4.11). Plain ASGI, before any route."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN_PATHS = ("/docs", "/redoc", "/openapi.json")
OPEN_FOLDERS = ("/docs/", "/inputs/")
"""The latter is guarded by names that cannot be guessed."""


@dataclass(frozen=True)
class KeyGuard:
    """Lets pass who knows the key; ``open_paths`` are open to all."""

    app: ASGIApp
    key: str
    open_paths: frozenset[str]
    open_folders: tuple[str, ...]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or self._may_pass(scope):
            await self.app(scope, receive, send)
            return
        await JSONResponse({"detail": "Forbidden"}, HTTPStatus.FORBIDDEN)(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        path = scope["path"]
        if path in self.open_paths or path.startswith(self.open_folders):
            return True
        header, token = (shown.encode("latin-1") for shown in _shown(Headers(scope=scope)))
        key = self.key.encode()
        return hmac.compare_digest(header, key) | hmac.compare_digest(token, key)


def _shown(headers: Headers) -> tuple[str, str]:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return (headers.get("x-api-key", ""), token.strip() if scheme.lower() == "bearer" else "")


class BodyLimit:
    """Refuses bodies of more than ``limit`` bytes, announced or not."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._limit:
            await self._refusal()(scope, receive, send)
            return
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self._limit:
                raise _TooLarge
            return message

        try:
            await self.app(scope, counted, send)
        except _TooLarge:
            await self._refusal()(scope, receive, send)

    def _refusal(self) -> JSONResponse:
        detail = f"the request is larger than {self._limit // 1_000_000} MB, the limit of this server"
        return JSONResponse({"detail": detail}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"Connection": "close"})


class _TooLarge(Exception):
    """Raised where the body is read. Nothing has been answered by then."""
