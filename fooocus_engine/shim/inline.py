"""Endpoints that are answered at once, without a job: tools, listings, ping (api.md §6.5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from fooocus_engine.endpoints.listing.contract import ModelsRequest
from fooocus_engine.endpoints.table import Body, Endpoint, Route, served_endpoint
from fooocus_engine.errors import BackendFailed
from fooocus_engine.shim import replies
from fooocus_engine.shim.accept import prefers_text
from fooocus_engine.shim.door import Door
from fooocus_engine.shim.forms import NOTHING, given_body
from fooocus_engine.shim.orders import question
from fooocus_engine.shim.questions import asked, form_shape, whole_query
from fooocus_engine.shim.responses import as_json, ignored_header

Inline = Callable[[Door, Request, Endpoint], Awaitable[Response]]
BARE_ANSWERS: Mapping[str, str] = MappingProxyType({"generate-mask": "mask"})
"""Endpoints whose HTTP answer is one value of the worker's, under this key."""


async def answer(door: Door, request: Request, row: Endpoint, route: Route) -> Response:
    """The answer to a question that is no job."""
    served_endpoint(row.name)
    if row.name in OWN_ANSWERS:
        return await OWN_ANSWERS[row.name](door, request, row)
    given = await given_body(request, route.body, form_shape(row)) if route.body is not Body.NONE else NOTHING
    request.state.given = given
    wanted, meant = door.understanding.tool(row, given.fields, whole_query(request))
    found = await door.listing.ask(question(row, wanted))
    response = as_json(_bare(row.name, found))
    response.headers.update(ignored_header(meant.ignored))
    return response


def _bare(name: str, found: Any) -> Any:
    if name not in BARE_ANSWERS:
        return found
    if not isinstance(found, Mapping) or BARE_ANSWERS[name] not in found:
        raise BackendFailed(f"the worker's answer to {name} holds no {BARE_ANSWERS[name]}")
    return found[BARE_ANSWERS[name]]


async def _ping(door: Door, request: Request, row: Endpoint) -> Response:
    return PlainTextResponse("pong") if prefers_text(request.headers.get("accept", "")) else JSONResponse("pong")


async def _styles(door: Door, request: Request, row: Endpoint) -> Response:
    return as_json(list(door.understanding.styles))


async def _all_models(door: Door, request: Request, row: Endpoint) -> Response:
    return as_json(await door.listing.models(details=asked(ModelsRequest, request).details))


async def _refresh_models(door: Door, request: Request, row: Endpoint) -> Response:
    return as_json(await door.listing.models_now(row.name, details=asked(ModelsRequest, request).details))


async def _clean_vram(door: Door, request: Request, row: Endpoint) -> Response:
    """Reaches one worker that is awake; a sleeping one holds no memory."""
    if await door.listing.worker_awake():
        await door.listing.ask({"endpoint": row.name})
    return as_json(replies.Message(message="ok"))


OWN_ANSWERS: Mapping[str, Inline] = MappingProxyType(
    {
        "ping": _ping,
        "styles": _styles,
        "all-models": _all_models,
        "refresh-models": _refresh_models,
        "clean-vram": _clean_vram,
    }
)
