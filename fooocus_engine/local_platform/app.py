"""The platform's HTTP side: all routes under /v2/local, who may ask, how often, and how a refusal looks."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from fooocus_engine.errors import EngineError
from fooocus_engine.local_platform import json_text, limits
from fooocus_engine.local_platform.client_routes import ClientRoutes
from fooocus_engine.local_platform.database import Clock
from fooocus_engine.local_platform.platform import Platform
from fooocus_engine.local_platform.rates import Rates
from fooocus_engine.local_platform.refusals import BadRequest, NotFound, Unauthorized
from fooocus_engine.local_platform.worker_routes import WorkerRoutes

log = logging.getLogger(__name__)

ENDPOINT = "local"
BASE = "/v2/{endpoint}"
PLATFORM = web.AppKey("platform", Platform)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Access:
    """Who may ask. Without a key every program of this machine may, but no web page that its user looks at."""

    api_key: str | None = None
    """Opens all routes."""
    worker_key: str | None = None
    """Opens the workers' routes alone."""

    def check(self, request: web.Request) -> None:
        """Return if the request may be carried out.

        Raises:
            Unauthorized: the key is missing or wrong, or the request comes from a web page.
        """
        if self.api_key is None:
            if _of_a_web_page(request):
                raise Unauthorized("requests of web pages are only taken where an API key is set")
            return
        given = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        keys = [self.api_key, self.worker_key] if "worker" in request.match_info else [self.api_key]
        if not any(_same(given, key) for key in keys if key):
            raise Unauthorized("the API key is missing or wrong")


def create_app(
    platform: Platform, access: Access, *, clock: Clock, middlewares: Sequence[Middleware] = ()
) -> web.Application:
    """The application; ``middlewares`` stand between its refusals and its routes."""
    app = web.Application(
        middlewares=[refusals_as_json, *middlewares, gate(access, Rates(time.monotonic, limits.RATES))],
        client_max_size=limits.BODY_BYTES,
    )
    app[PLATFORM] = platform
    app.add_routes(ClientRoutes(platform, clock).table(BASE))
    app.add_routes(WorkerRoutes(platform).table(BASE))
    return app


def gate(access: Access, rates: Rates) -> Middleware:
    """Lets a request through to its route, or refuses it."""

    @web.middleware
    async def pass_through(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.match_info.get("endpoint", ENDPOINT) != ENDPOINT:
            raise NotFound("no such endpoint", hint=f"this platform has one, {ENDPOINT}")
        access.check(request)
        resource = request.match_info.route.resource
        with rates.admitted((resource and resource.name) or ""):
            return await handler(request)

    return pass_through


@web.middleware
async def refusals_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as an object with one text, which tells nothing of an unexpected one."""
    try:
        return await handler(request)
    except EngineError as error:
        return _refusal(error.status, str(error))
    except web.HTTPRequestEntityTooLarge:
        return _refusal(BadRequest.status, f"the body is too large; allowed: up to {limits.BODY_BYTES // limits.MB} MB")
    except web.HTTPException as error:
        return _refusal(error.status, error.reason)
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _refusal(500, "internal error")


def _of_a_web_page(request: web.Request) -> bool:
    """Whether a browser sends it for a page: it says so, or a name of the page's own leads to this machine."""
    told = "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") != "none"
    return told or not is_loopback(_host_name(request.host))


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refusal(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=json_text.write({"error": text}), content_type="application/json")


def _same(given: str, key: str) -> bool:
    return hmac.compare_digest(given.encode(errors="surrogateescape"), key.encode())  # as headers are decoded
