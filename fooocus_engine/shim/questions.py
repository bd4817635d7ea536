"""What may be asked of this door about jobs and files, and how a request to an endpoint is understood.

Takes raw fields; gives validated models or every problem at once, in the words of the client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Annotated, Any, TypeVar, get_origin

from pydantic import BaseModel, Field
from starlette.requests import Request

from fooocus_engine.endpoints.dialects import FIELD_ALIASES, Canonical, canonical_fields, places, query_fields
from fooocus_engine.endpoints.generate.contract import GenerateRequest, validate_generation
from fooocus_engine.endpoints.generate.presets import Preset
from fooocus_engine.endpoints.problems import relocated, validated
from fooocus_engine.endpoints.table import Endpoint, Route
from fooocus_engine.endpoints.wire_types import WireModel
from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.settings import Settings
from fooocus_engine.shim.forms import Shape

MAX_WAIT_S = 600
MAX_PAGE = 1_000_000_000
NEEDED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType({"/v1/generation/image-upscale-vary": ("uov_method",)})
"""Fields that only this route requires (api.md §2.6)."""
UNREAD_BY: Mapping[str, frozenset[str]] = MappingProxyType(
    {"/v1/generation/image-prompt": frozenset({"image_prompts"})}
)
"""Fields that only this route does not read, as it has numbered ones (api.md §2.1)."""
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
        raise InvalidRequest(_in_query(relocated(error.problems, places(given)))) from None


def whole_query(request: Request) -> dict[str, str]:
    """The query of a request, what is repeated in it as a comma list."""
    query = request.query_params
    return {name: ",".join(query.getlist(name)) for name in query}


def form_shape(row: Endpoint) -> Shape:
    """What the fields of an endpoint are in a form. Pictures are what a request never repeats in its dump."""
    fields = row.request.model_fields
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
        unread = tuple(sorted(UNREAD_BY.get(route.path, frozenset()) & given.keys()))
        meant = canonical_fields(row.name, {name: value for name, value in given.items() if name not in unread})
        meant = meant._replace(ignored=(*meant.ignored, *unread))
        missing = [name for name in NEEDED_BY.get(route.path, ()) if name not in meant.fields]
        problems = [Problem("missing", ("body", name), "is required") for name in missing]
        model = row.request
        assert issubclass(model, GenerateRequest)
        try:
            request = validate_generation(
                meant.fields, model, default_preset=self.preset, styles=self.styles, limits=self.limits
            )
        except InvalidRequest as error:
            problems += error.problems
        if problems:
            raise InvalidRequest(relocated(problems, places(given, row.name)))
        return request, meant

    def tool(self, row: Endpoint, given: Mapping[str, Any], query: Mapping[str, Any]) -> tuple[BaseModel, Canonical]:
        """The same for an endpoint that is no job; fields may also come in the query, where the body lacks them.

        Raises:
            InvalidRequest: with every problem, each where it came from.
        """
        meant = canonical_fields(row.name, given)
        beside = {n: v for n, v in query_fields(query, row.request).items() if n not in meant.fields}
        try:
            return validated(row.request, beside | meant.fields), meant
        except InvalidRequest as error:
            in_query = [problem for problem in error.problems if beside.keys() & {*problem.loc[1:2]}]
            in_body = [problem for problem in error.problems if problem not in in_query]
            told = _in_query(relocated(in_query, places(query))), relocated(in_body, places(given, row.name))
            raise InvalidRequest([*told[0], *told[1]]) from None


def _in_query(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(replace(problem, loc=("query", *problem.loc[1:])) for problem in problems)
