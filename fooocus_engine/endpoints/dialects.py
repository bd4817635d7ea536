"""Old and foreign spellings of endpoints, fields and values → the canonical ones, before validation. No torch.

Takes a handler input or a request body as the client wrote it and leaves it untouched; gives the endpoint's name, the
fields in the newest dialect and the names of fields that no one reads. Decodes lists and objects written as text. Does
not validate: text that cannot be decoded stays text, and the contract names the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pydantic import BaseModel

from fooocus_engine.endpoints.generate.advanced import AdvancedParams
from fooocus_engine.endpoints.table import ENDPOINTS, SHIM_ONLY
from fooocus_engine.errors import InvalidRequest, Location, Problem, UnknownName

ENDPOINT_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "image-inpait-outpaint": "image-inpaint-outpaint",  # older documentation
        "txt2img": "text-to-image",  # from here on the `api_name` words of the peer project (api.md §6.3)
        "txt2img-ip": "text-to-image-with-ip",
        "upscale-vary": "image-upscale-vary",
        "upscale-vary2": "image-upscale-vary",
        "inpaint-outpaint": "image-inpaint-outpaint",
        "inpaint-outpaint2": "image-inpaint-outpaint",
        "img2img": "image-prompt",
        "img2img2": "image-prompt",
        "describe": "describe-image",
        "models": "all-models",
        "models-refresh": "refresh-models",
        "home": "ping",
        "queryjob": "query-job",
        "jobqueue": "job-queue",
        "jobhistory": "job-history",
    }
)
FIELD_ALIASES: Mapping[str, str] = MappingProxyType(
    {"style": "style_selections", "require_step_preivew": "require_step_preview", "type": "image_type"}
)
ADVANCED_ALIASES: Mapping[str, str] = MappingProxyType(
    {"inpaint_mask_upload_checkbox": "inpaint_advanced_masking_checkbox"}
)
VALUE_ALIASES: Mapping[tuple[str, str], str | None] = MappingProxyType(
    {
        ("meta_scheme", "a111"): "a1111",
        ("preset", "initial"): "default",
        ("refiner_model_name", ""): "None",
        ("base_model_name", "None"): None,
        ("sampler_name", "default_sampler"): None,
        ("scheduler_name", "default_scheduler"): None,
    }
)
"""(canonical field, old value) → today's value; ``None`` = as if the field were not given."""
EMPTY_IS_A_VALUE = frozenset({"prompt", "negative_prompt", "style_selections", "save_name", "webhook_url"})
"""Any other field is not given when it is an empty string, as in forms (api.md §2.1)."""

OUTPAINT_SIDES = ("left", "right", "top", "bottom")

_AT_ENDPOINT = ("body", "endpoint")


class Canonical(NamedTuple):
    """A request in the newest dialect."""

    endpoint: str
    fields: dict[str, Any]
    ignored: tuple[str, ...]
    """Fields of the client that nothing reads; those of ``advanced_params`` with that prefix."""


def canonical(given: object) -> Canonical:
    """The endpoint (a name of the table) and the fields that a handler input means.

    Raises:
        InvalidRequest: not an object, no endpoint named, or one that only the HTTP door answers.
        UnknownName: no such endpoint; lists near matches.
    """
    if not isinstance(given, Mapping):
        raise InvalidRequest([Problem("dict_type", ("body",), "must be an object", given)])
    nested = {name: value for name, value in _params(given).items() if value is not None}
    merged = {**given, **nested}
    merged.pop("params", None)
    named = merged.pop("endpoint", None), merged.pop("api_name", None)
    endpoint = _endpoint(named[0] or named[1], has_prompt=merged.get("prompt") is not None)
    return canonical_fields(endpoint, merged)


def canonical_fields(endpoint: str, given: Mapping[str, Any]) -> Canonical:
    """The same for a body whose endpoint (a name of the table) is known already, as on an HTTP route."""
    fields, ignored = _modern(given, FIELD_ALIASES, ENDPOINTS[endpoint].request)
    advanced = fields.get("advanced_params")
    if isinstance(advanced, Mapping):
        fields["advanced_params"], unread = _modern(advanced, ADVANCED_ALIASES, AdvancedParams)
        ignored += [f"advanced_params.{name}" for name in unread]
    for name in _idle_distances(fields):
        del fields[name]
        ignored.append(name)
    return Canonical(endpoint, fields, tuple(ignored))


def query_fields(given: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The same for the query of an HTTP route; what ``model`` does not know is dropped."""
    return _modern(given, FIELD_ALIASES, model)[0]


def spoken(loc: Location, given: Mapping[str, Any]) -> Location:
    """The place of a problem in the words of the client who sent ``given``: an old field name where one was used."""
    old = {today: name for name, today in FIELD_ALIASES.items() if name in given and given.get(today) is None}
    return tuple(old.get(str(part), part) if depth == 1 else part for depth, part in enumerate(loc))


def endpoint_named(name: str) -> str:
    """The table's name of an endpoint spelt as a short name, an HTTP path or a word of the peer project.

    Raises:
        InvalidRequest: only the HTTP door answers it; says which platform operation to use.
        UnknownName: no such endpoint; lists near matches.
    """
    plain = _plain(name)
    known = _PATHS.get(plain) or ENDPOINT_ALIASES.get(plain, plain)
    if known in SHIM_ONLY:
        reason = f"{known!r} is answered by the HTTP API only; use {SHIM_ONLY[known].instead} instead"
        raise InvalidRequest([Problem("shim_only", _AT_ENDPOINT, reason, name)])
    if known not in ENDPOINTS:
        raise UnknownName("endpoint", name, ENDPOINTS, _AT_ENDPOINT)
    return known


def _plain(name: str) -> str:
    return name.strip().lower().rstrip("/").replace("_", "-")


_PATHS: Mapping[str, str] = MappingProxyType(
    {_plain(route.path): row.name for row in ENDPOINTS.values() for route in row.routes}
    | {_plain(path): name for name, row in SHIM_ONLY.items() for path in row.paths}
)


def _endpoint(name: object, *, has_prompt: bool) -> str:
    match name:
        case str() if name:
            return endpoint_named(name)
        case None | "" if has_prompt:
            return "text-to-image"
        case None | "":
            reason = "is required unless there is a prompt; known: " + ", ".join(ENDPOINTS)
            raise InvalidRequest([Problem("missing", _AT_ENDPOINT, reason)])
        case _:
            raise InvalidRequest([Problem("string_type", _AT_ENDPOINT, "must be the name of an endpoint", name)])


def _params(given: Mapping[str, Any]) -> Mapping[str, Any]:
    nested = _decoded(given.get("params") or {})
    if not isinstance(nested, Mapping):
        raise InvalidRequest([Problem("dict_type", ("body", "params"), "must be an object", nested)])
    return nested


def _modern(
    given: Mapping[str, Any], aliases: Mapping[str, str], model: type[BaseModel] | None
) -> tuple[dict[str, Any], list[str]]:
    """What is given, under today's names and values, and the names that ``model`` does not know.

    Where both spellings of a field are given, the old one is ignored.
    """
    values = {name: _today(aliases.get(name, name), value) for name, value in given.items()}
    fields: dict[str, Any] = {}
    ignored: list[str] = []
    for name, value in values.items():
        today = aliases.get(name, name)
        known = model is None or today in model.model_fields
        if not known or (today != name and values.get(today) is not None):
            ignored.append(name)
        elif value is not None:
            fields[today] = value
    return fields, ignored


def _idle_distances(fields: Mapping[str, Any]) -> list[str]:
    """Positive outpaint distances of sides that are not chosen (api.md §2.7)."""
    chosen = fields.get("outpaint_selections", ())
    if not isinstance(chosen, list | tuple):
        return []
    sides = {side.strip().lower() for side in chosen if isinstance(side, str)}
    names = {f"outpaint_distance_{side}" for side in OUTPAINT_SIDES if side not in sides}
    return [name for name in fields if name in names and _is_positive(fields[name])]


def _is_positive(value: Any) -> bool:
    try:
        return float(value) > 0
    except (TypeError, ValueError):
        return False


def _today(name: str, value: Any) -> Any:
    """Today's spelling of a value, lists and objects decoded; ``None`` if the field counts as not given."""
    if isinstance(value, str):
        if (name, value) in VALUE_ALIASES:
            return VALUE_ALIASES[name, value]
        if not value and name not in EMPTY_IS_A_VALUE:
            return None
    match name:
        case "style_selections" | "outpaint_selections":
            return _names(value)
        case "loras":
            return _loras(value)
        case "advanced_params" | "image_prompts":
            return _decoded(value)
        case _:
            return value


def _decoded(value: Any) -> Any:
    """JSON text as what it says; anything else, unreadable text included, as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # the latter: thousands of nested brackets
        return value


def _names(value: Any) -> Any:
    """A list of names from a list, a comma list or a JSON list, items trimmed, empty ones dropped."""
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return [name.strip() for name in value.split(",") if name.strip()]
        value = _decoded(value)
    if not isinstance(value, list | tuple):
        return value
    names: list[Any] = []
    for item in value:
        inner = _names(item) if isinstance(item, str) else item
        names.extend(inner if isinstance(item, str) and isinstance(inner, list) else [inner])
    return names


def _loras(value: Any) -> Any:
    """A list of LoRA entries from a list, a JSON list, or JSON objects one by one."""
    value = _decoded(value)
    if isinstance(value, Mapping):
        value = [value]
    return [_lora(_decoded(item)) for item in value] if isinstance(value, list | tuple) else value


def _lora(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    return {name: value for name, value in entry.items() if name == "model_name" or value not in (None, "")}
