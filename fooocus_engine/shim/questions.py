"""What may be asked of this door about jobs and files, and how a request to an endpoint is understood.

Takes raw fields; gives validated models or every problem at once, in the words of the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_origin

from pydantic import BaseModel, Field
from starlette.requests import Request

from fooocus_engine.endpoints.dialects import FIELD_ALIASES, Canonical, canonical_fields, query_fields, spoken
from fooocus_engine.endpoints.generate.contract import GenerateRequest, validate_generation
from fooocus_engine.endpoints.generate.presets import Preset
from fooocus_engine.endpoints.problems import validated
from fooocus_engine.endpoints.table import Endpoint, Route
from fooocus_engine.endpoints.wire_types import WireModel
from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.settings import Settings
from fooocus_engine.shim.forms import Shape

MAX_WAIT_S = 600
MAX_PAGE = 1_000_000_000
NEEDED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType({"/v1/generation/image-upscale-vary": ("uov_method",)})
"""Fields that only this route requires (api.md §2.6)."""
Asked = TypeVar("Asked", bound=BaseModel)


class JobQuestion(WireModel):
    """query-job and job-events."""

    job_id: str
    require_step_preview: bool = False
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_S)] = 0
    """Seconds to wait for the end of the job."""


class HistoryQuestion(WireModel):
    """job-history (api.md §4.5)."""

    job_id: str | None = None
    page: Annotated[int, Field(ge=0, le=MAX_PAGE)] | None = None
    page_size: Annotated[int, Field(ge=1, le=1000)] | None = None
    delete: bool = False


class StopQuestion(WireModel):
    """stop (api.md §6.6)."""

    job_id: str | None = None
    all: bool = False


class AcceptQuestion(WireModel):
    """The query of the generation endpoints."""

    accept: str = ""


def asked(model: type[Asked], request: Request) -> Asked:
    """The query of a request.

    Raises:
        InvalidRequest: with every problem, ``loc`` beginning with ``"query"``.
    """
    given = dict(request.query_params)
    try:
        return validated(model, query_fields(given, model))
    except InvalidRequest as error:
        raise InvalidRequest([_in_query(_spoken(problem, given)) for problem in error.problems]) from None


def whole_query(request: Request) -> dict[str, str]:
    """The query of a request, what is repeated in it as a comma list."""
    query = request.query_params
    return {name: ",".join(query.getlist(name)) for name in query}


def form_shape(row: Endpoint) -> Shape:
    """What the fields of an endpoint are in a form. Pictures are what a request never repeats in its dump."""
    fields = row.request.model_fields if row.request is not None else {}
    lists = {name for name, field in fields.items() if get_origin(field.annotation) in (tuple, list)}
    pictures = {name for name, field in fields.items() if field.exclude and name not in lists}
    old = {name for name, today in FIELD_ALIASES.items() if today in lists}
    return Shape(frozenset(lists | old), frozenset({*fields} - pictures))


@dataclass(frozen=True)
class Understanding:
    """What requests are held against: the server's preset, the known styles, limits."""

    preset: Preset
    styles: tuple[str, ...]
    limits: Settings

    def generation(self, row: Endpoint, route: Route, given: Mapping[str, Any]) -> tuple[GenerateRequest, Canonical]:
        """The request that a body to a generation endpoint means, and its canonical form.

        Raises:
            InvalidRequest: with every problem, in the field names that the client used.
        """
        meant = canonical_fields(row.name, given)
        missing = [name for name in NEEDED_BY.get(route.path, ()) if name not in meant.fields]
        problems = [Problem("missing", ("body", name), "is required") for name in missing]
        model = row.request
        assert model is not None and issubclass(model, GenerateRequest)
        try:
            request = validate_generation(
                meant.fields, model, default_preset=self.preset, styles=self.styles, limits=self.limits
            )
        except InvalidRequest as error:
            problems += error.problems
        if problems:
            raise InvalidRequest([_spoken(problem, given) for problem in problems])
        return request, meant

    def tool(self, row: Endpoint, given: Mapping[str, Any], query: Mapping[str, Any]) -> tuple[BaseModel, Canonical]:
        """The same for an endpoint that is no job; fields may also come in the query, where the body lacks them.

        Raises:
            InvalidRequest: with every problem, each where it came from.
        """
        assert row.request is not None
        meant = canonical_fields(row.name, given)
        beside = {n: v for n, v in query_fields(query, row.request).items() if n not in meant.fields}
        try:
            return validated(row.request, beside | meant.fields), meant
        except InvalidRequest as error:
            problems = [
                _in_query(_spoken(p, query)) if beside.keys() & {*p.loc[1:2]} else _spoken(p, given)
                for p in error.problems
            ]
            raise InvalidRequest(problems) from None


def _spoken(problem: Problem, given: Mapping[str, Any]) -> Problem:
    """A problem with its place in the field names of the client who sent ``given``."""
    return replace(problem, loc=spoken(problem.loc, given))


def _in_query(problem: Problem) -> Problem:
    return replace(problem, loc=("query", *problem.loc[1:]))
