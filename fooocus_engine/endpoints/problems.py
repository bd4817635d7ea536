"""Validates raw fields with a request model and words what is wrong. The only file that reads pydantic's errors.

Every problem of a request is reported at once; each names its field, the value seen and what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from inspect import isclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from fooocus_engine.errors import InvalidRequest, Location, Problem, shortened

NAMES_THE_VALUE = ("unknown_name", "size")  # types of problems whose message repeats the value already
Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], fields: Mapping[str, Any], context: Any = None) -> Model:
    """``fields`` as a ``model``. ``context`` is handed to the validators.

    Raises:
        InvalidRequest: with every problem found; ``loc`` starts with ``"body"``.
    """
    try:
        return model.model_validate(dict(fields), context=context)
    except ValidationError as error:
        raise InvalidRequest([_problem(model, details) for details in error.errors(include_url=False)]) from None


def relocated(problems: Iterable[Problem], places: Mapping[Location, Location]) -> tuple[Problem, ...]:
    """``problems`` told where the client can find them: a place in ``places``, or below one of them, is exchanged."""
    return tuple(replace(problem, loc=moved(problem.loc, places)) for problem in problems)


def moved(loc: Location, places: Mapping[Location, Location]) -> Location:
    """The same for one place."""
    for length in range(len(loc), 0, -1):
        if loc[:length] in places:
            return (*places[loc[:length]], *loc[length:])
    return loc


def _problem(model: type[BaseModel], details: ErrorDetails) -> Problem:
    kind, loc = details["type"], details["loc"]
    reason = details["msg"]
    if kind in ("greater_than_equal", "less_than_equal"):
        reason = _range(model, loc) or reason
    if kind == "missing":
        return Problem(kind, ("body", *loc), "is required")
    if kind not in NAMES_THE_VALUE:
        reason = f"{reason}; got {_seen(details['input'])}"
    return Problem(kind, ("body", *loc), reason, details["input"])


def _range(model: type[BaseModel], loc: Location) -> str | None:
    """``must be from LOW to HIGH`` for the field at ``loc``, read from its annotation; ``None`` if an end is open."""
    bounds = _field(model, loc).metadata
    low = next((bound.ge for bound in bounds if hasattr(bound, "ge")), None)
    high = next((bound.le for bound in bounds if hasattr(bound, "le")), None)
    return None if low is None or high is None else f"must be from {low} to {high}"


def _field(model: type[BaseModel], loc: Location) -> FieldInfo:
    *outer, last = (name for name in loc if isinstance(name, str))
    for name in outer:
        model = next(models_in(model.model_fields[name].annotation))
    return model.model_fields[last]


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a field's annotation names, however deep inside."""
    if isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def _seen(value: Any) -> str:
    match value:
        case str() | bool() | int() | float() | None:
            return repr(shortened(value))
        case list() | tuple():
            return f"a list of {len(value)}"
        case _:
            return "an object"
