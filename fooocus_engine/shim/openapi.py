"""What ``/openapi.json`` says of each route: its fields, from the very models that validate them, and its answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.listing.contract import ModelsRequest
from fooocus_engine.endpoints.problems import models_in
from fooocus_engine.endpoints.table import Body, Endpoint, Route
from fooocus_engine.endpoints.wire_types import OneOf
from fooocus_engine.output.encode import MEDIA_TYPES
from fooocus_engine.shim import replies
from fooocus_engine.shim.forms import FORM_TYPES
from fooocus_engine.shim.questions import AcceptQuestion, HistoryQuestion, JobQuestion, StopQuestion

Json = dict[Any, Any]
IN_PATH = re.compile(r"{(\w+)}")
TEXT: Json = {"text/plain": {"schema": {"type": "string"}}}
PICTURES: Json = {media: {"schema": {"type": "string", "format": "binary"}} for media in {*MEDIA_TYPES.values()}}

ANY_BYTES: Json = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def described(row: Endpoint, route: Route, preset: str) -> Json:
    """The description of an endpoint's route, as ``add_api_route`` takes it."""
    if row.job_type is not None:
        return _description(row.name, _GENERATION, query=AcceptQuestion, body=_body(row.request, route.body, preset))
    answers = ANSWERS_OF_ALL | _WORKER_FAILS | {200: _INLINE.get(row.name, _answer("The answer", Any))}
    if route.body is Body.NONE:
        query = row.request if row.request is ModelsRequest else None
        return _description(row.name, answers, query=query)
    return _description(row.name, answers, body=_body(row.request, route.body, preset))


def plainly(name: str, path: str) -> Json:
    """The description of a route that only this door has."""
    query, answers = _PLAIN[name]
    return _description(name, ANSWERS_OF_ALL | answers, query=query, path=path)


def _description(
    name: str, answers: Json, *, query: type[BaseModel] | None = None, body: Json | None = None, path: str = ""
) -> Json:
    extra: Json = {}
    parameters = [
        {"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in IN_PATH.findall(path)
    ]
    if query is not None:
        parameters += _parameters(query)
    if parameters:
        extra["parameters"] = parameters
    if body is not None:
        extra["requestBody"] = body
    return {"summary": name, "responses": answers, "openapi_extra": extra}


def _answer(description: str, model: Any = None, content: Json | None = None) -> Json:
    told = {} if model is None else {"application/json": {"schema": _schema(model, "serialization")}}
    return {"description": description, "content": {**told, **(content or {})}}


def _schema(model: Any, mode: Any = "validation") -> Json:
    """The schema of a model without references, so that it can stand anywhere."""
    schema = TypeAdapter(model).json_schema(mode=mode)
    definitions = schema.pop("$defs", {})

    def walk(value: Any) -> Any:
        match value:
            case {"$ref": str(reference), **rest}:
                return {**walk(definitions[reference.rpartition("/")[2]]), **walk(rest)}
            case Mapping():
                return {name: walk(item) for name, item in value.items()}
            case list():
                return [walk(item) for item in value]
            case _:
                return value

    found: Json = walk(schema)
    return found


def _parameters(model: type[BaseModel]) -> list[Json]:
    schema = _schema(model)
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]


def _body(model: type[BaseModel], kind: Body, preset: str) -> Json:
    schema = _request_schema(model, preset)
    if kind is Body.JSON:
        return {"content": {"application/json": {"schema": schema}}}
    pictures = {name for name, field in model.model_fields.items() if field.exclude}
    form = {**schema, "properties": {n: _in_form(f, n in pictures) for n, f in schema["properties"].items()}}
    return {"content": {media: {"schema": form} for media in FORM_TYPES} | {"application/json": {"schema": schema}}}


def _in_form(field: Json, picture: bool) -> Json:
    """A field as forms carry it: pictures as files, objects and lists of them as JSON text."""
    if picture and field.get("type") != "array":
        return {"type": "string", "format": "binary"}
    nested = field.get("type") == "object" or field.get("items", {}).get("type") == "object"
    return {"type": "string", "description": "JSON"} if nested else field


def _request_schema(model: type[BaseModel], preset: str) -> Json:
    """The schema of a request, with the accepted names, and with the preset's values where they are the defaults."""
    defaults = preset_named(preset)
    schema = _with_names(_schema(model), model)
    _with_defaults(schema, defaults.request_defaults() | {"preset": preset, "advanced_params": {}})
    if "advanced_params" in model.model_fields:
        _with_defaults(schema["properties"]["advanced_params"], defaults.advanced_defaults())
    return schema


def _with_names(schema: Json, model: type[BaseModel]) -> Json:
    for name, field in model.model_fields.items():
        told = schema["properties"][name]
        for validator in field.metadata:
            if isinstance(one_of := getattr(validator, "func", None), OneOf):
                told["enum"] = [str(known) for known in one_of.names]
        for inner in models_in(field.annotation):
            _with_names(told.get("items", told), inner)
    return schema


def _with_defaults(schema: Json, defaults: Mapping[str, Any]) -> None:
    for name in schema.get("required", []):
        if name in defaults and name != "loras":
            schema["properties"][name]["default"] = defaults[name]
    schema["required"] = [name for name in schema.get("required", []) if name not in defaults]


_DETAIL = replies.Detail
ANSWERS_OF_ALL: Json = {403: _answer("The API key is missing or wrong", _DETAIL)}
_LARGE: Json = _answer("The picture is too large to be converted to the format that is asked for", _DETAIL)
_REFUSED: Json = {422: _answer("Faults in the request, each with its place", replies.Refused)}
_WORKER_FAILS: Json = {
    **_REFUSED,
    413: _answer("Larger than this server or the platform takes", _DETAIL),
    429: _answer("The platform takes no more for now", _DETAIL),
    500: _answer("The worker failed", _DETAIL),
    501: _answer("Not possible in this deployment", _DETAIL),
    502: _answer("The platform refuses this server", _DETAIL),
    503: _answer("The platform cannot be reached", _DETAIL),
    504: _answer("No answer in time", _DETAIL),
}
_GENERATION: Json = {
    **ANSWERS_OF_ALL,
    **_WORKER_FAILS,
    200: _answer("Results, or the job object, or the picture", list[replies.Result] | replies.Job, PICTURES),
    400: _answer("Given up while a picture was asked for", None, TEXT),
    406: _LARGE,
    409: _answer("The queue is full, and a picture was asked for", None, TEXT),
    500: _answer("The job failed", replies.FailedJob | _DETAIL, TEXT),
    503: _answer("The platform cannot be reached, or this server stops", replies.OpenJobDetail | _DETAIL),
    504: _answer("The job is not done yet; it goes on", replies.OpenJobDetail),
}
_NO_JOB: Json = {404: _answer("No such job", replies.Job)}
_INLINE: Json = {
    "describe-image": _answer("What is to be seen", replies.Description),
    "generate-mask": _answer("Base64 of a PNG", str),
    "all-models": _answer("The installed models", replies.Models),
    "refresh-models": _answer("The installed models", replies.Models),
    "styles": _answer("The names of all styles", list[str]),
    "clean-vram": _answer("Done", replies.Message),
    "ping": _answer("pong", str, TEXT),
}
_PLAIN: dict[str, tuple[type[BaseModel] | None, Json]] = {
    "query-job": (JobQuestion, _REFUSED | _NO_JOB | {200: _answer("The job as it is now", replies.Job)}),
    "job-events": (
        JobQuestion,
        _REFUSED | _NO_JOB | {200: _answer("Events", None, {"text/event-stream": {"schema": {"type": "string"}}})},
    ),
    "job-queue": (None, {200: _answer("How much there is to do", replies.Queue)}),
    "job-history": (
        HistoryQuestion,
        _REFUSED
        | {200: _answer("Open and ended jobs", replies.History | replies.Message), 409: _answer("Not ended", _DETAIL)},
    ),
    "stop": (StopQuestion, _REFUSED | {200: _answer("Done", replies.Stopped)}),
    "health": (None, {200: _answer("All is well", replies.Health), 503: _answer("No platform", replies.Health)}),
    "home": (None, {200: _answer("A page", None, {"text/html": {"schema": {"type": "string"}}})}),
    "files": (
        None,
        {200: _answer("The picture", None, PICTURES), 404: _answer("No such picture", _DETAIL), 406: _LARGE},
    ),
    "inputs": (None, {200: _answer("The picture", None, ANY_BYTES), 404: _answer("No such picture", _DETAIL)}),
}
