"""The routes: one for every row of the table of endpoints, and those that only this door has (api.md §1.1).

A new endpoint of the table gets its routes here by itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from fooocus_engine.endpoints.table import ENDPOINTS, SHIM_ONLY, Route
from fooocus_engine.shim import files, generation, inline, job_questions
from fooocus_engine.shim.door import Door
from fooocus_engine.shim.openapi import described, plainly

IN_NAMES = str.maketrans({"/": "_", "{": None, "}": None})
Answer = Callable[[Door, Request], Awaitable[Response]]


@dataclass(frozen=True)
class Served:
    """A route, what answers it, and how ``/openapi.json`` describes it."""

    route: Route
    answer: Answer
    description: dict[str, Any] = field(default_factory=dict)


def served_routes(preset: str) -> Iterator[Served]:
    """Every route of the door. ``preset`` gives the defaults that the documentation tells."""
    for row in ENDPOINTS.values():
        for route in row.routes:
            one = generation.generate if row.job_type else inline.answer
            yield Served(route, _bound(one, row, route), described(row, route, preset))
    for name, answer in OF_JOBS.items():
        method = "POST" if name == "stop" else "GET"
        for path in SHIM_ONLY[name].paths:
            yield Served(Route(method, path), answer, plainly(name, path))
    for path, (answer, name) in OF_FILES.items():
        yield Served(Route("GET", path), answer, plainly(name, path))


def add_routes(app: FastAPI, preset: str) -> None:
    """Give ``app`` every route."""
    for served in served_routes(preset):
        app.add_api_route(
            served.route.path,
            _entrance(served.answer),
            methods=[served.route.method],
            operation_id=f"{served.route.method.lower()}{served.route.path}".translate(IN_NAMES),
            response_model=None,
            response_class=Response,
            **served.description,
        )


def _bound(answer: Callable[..., Awaitable[Response]], *given: Any) -> Answer:
    return lambda door, request: answer(door, request, *given)


def _entrance(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    async def enter(request: Request) -> Response:
        return await answer(request.app.state.door, request)

    return enter


OF_JOBS: dict[str, Answer] = {
    "query-job": job_questions.query_job,
    "job-queue": job_questions.job_queue,
    "job-history": job_questions.job_history,
    "stop": job_questions.stop,
}
OF_FILES: dict[str, tuple[Answer, str]] = {
    "/v1/generation/job-events": (job_questions.job_events, "job-events"),
    "/files/{date}/{file_name}": (files.picture, "files"),
    "/inputs/{name}": (files.left_input, "inputs"),
    "/health": (files.health, "health"),
    "/": (files.home, "home"),
}
