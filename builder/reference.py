"""``python -m builder.reference [--check]``: writes the tables of docs/parameters.md and docs/settings.md.

Parameters come from the very models that validate requests, options of the HTTP API from its settings, build arguments
from the Dockerfile. What a field means is told by ``parameter_words.json``, else by its docstring. What stands between
the marks of a table is replaced; all other text is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.presets import presets
from fooocus_engine.endpoints.problems import models_in
from fooocus_engine.endpoints.table import ENDPOINTS, Endpoint
from fooocus_engine.shim.routes import served_routes
from fooocus_engine.shim.settings import options

ROOT = Path(__file__).parent.parent
WORDS = Path(__file__).with_name("parameter_words.json")
PRESET = "default"
BEGIN, END = "<!-- {}: written by `make reference` -->", "<!-- end of {} -->"
Json = Mapping[str, Any]


def tables() -> dict[str, dict[str, str]]:
    """Page → table → its text."""
    return {
        "docs/parameters.md": {
            "endpoints": "\n\n".join(_endpoint(row) for row in ENDPOINTS.values()),
            "presets": _presets(),
        },
        "docs/settings.md": {"http": _http_options(), "build": _build_arguments()},
    }


def _endpoint(row: Endpoint) -> str:
    routes = ", ".join(f"`{route.method} {route.path}`" for route in row.routes)
    parts = [f"### {row.name}", f"{row.job_type or 'Answered at once, without a job'}: {routes}"]
    schema = _schemas().get(row.name) or row.request.model_json_schema()
    common = set(GenerateRequest.model_fields) if row.request is not GenerateRequest and row.job_type else set()
    fields = {name: field for name, field in schema.get("properties", {}).items() if name not in common}
    if fields:
        parts.append(_fields(fields, row.request, schema.get("required", ())))
    if common:
        parts.append("And every field of [text-to-image](#text-to-image).")
    for name, field in fields.items():
        inner = field.get("items", field)
        if "properties" in inner:
            parts.append(f"Fields of {'an entry of ' if inner is not field else ''}`{name}`:")
            parts.append(_fields(inner["properties"], row.request, inner.get("required", ())))
    return "\n\n".join(parts)


def _schemas() -> dict[str, Json]:
    """Endpoint that takes a body → the schema of its JSON form, with names and the preset's defaults."""
    found: dict[str, Json] = {}
    by_path = {route.path: row.name for row in ENDPOINTS.values() for route in row.routes}
    for served in served_routes(PRESET):
        body = served.description.get("openapi_extra", {}).get("requestBody")
        if body and served.route.path in by_path:
            found.setdefault(by_path[served.route.path], body["content"]["application/json"]["schema"])
    return found


def _fields(fields: Json, model: type[BaseModel], required: Iterable[str]) -> str:
    told = docstrings(model) | json.loads(WORDS.read_text(encoding="utf-8"))
    rows = (
        (
            f"`{name}`",
            _type(field),
            "required" if name in required else _value(field),
            _allowed(field),
            told.get(name, ""),
        )
        for name, field in fields.items()
    )
    return _table(("field", "type", "default", "allowed", "meaning"), rows)


def _type(field: Json) -> str:
    if variants := field.get("anyOf"):
        return " or ".join(dict.fromkeys(_type(variant) for variant in variants))
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("type", "text" if "enum" in field else "any"))


def _value(field: Json) -> str:
    value = field.get("default")
    if value is None:
        return "none"
    return f"`{value if isinstance(value, str) and value else json.dumps(value)}`"


def _allowed(field: Json) -> str:
    if field.get("type") == "array":
        return _allowed(field.get("items", {}))
    for variant in field.get("anyOf", ()):
        if found := _allowed(variant):
            return found
    if names := field.get("enum") or field.get("examples"):
        return ", ".join(f"`{name}`" for name in names)
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if high is not None:
        return f"up to {high}"
    return f"from {low}" if low is not None else ""


def docstrings(model: type[BaseModel]) -> dict[str, str]:
    """What the source says under each field of a model, of those that it builds on, and of those in its fields."""
    found: dict[str, str] = {}
    for cls in reversed([cls for cls in model.__mro__ if issubclass(cls, BaseModel) and cls is not BaseModel]):
        for field in cls.model_fields.values():
            for inner in models_in(field.annotation):
                found |= docstrings(inner)
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for line, text in zip(body.body, body.body[1:], strict=False):
            match line, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    found[name] = " ".join(words.split()).replace("``", "`")
    return found


def _presets() -> str:
    rows = (
        (
            f"`{preset.name}`", f"`{preset.base_model_name}`", f"`{preset.refiner_model_name}`",
            ", ".join(f"`{name}` {weight:g}" for name, weight in preset.loras) or "none",
            preset.performance_selection.value, f"{preset.guidance_scale:g}",
            f"{preset.sampler_name}, {preset.scheduler_name}", f"`{preset.aspect_ratios_selection}`",
            ", ".join(preset.style_selections) or "none",
        )
        for preset in presets().values()
    )  # fmt: skip
    heads = ("preset", "base", "refiner", "LoRAs", "performance", "cfg", "sampler, scheduler", "size", "styles")
    return _table(heads, rows)


def _http_options() -> str:
    rows = (
        (f"`{told['variable']}`", f"`{told['flag']}`" if told["flag"] else "", _option(option.default), told["help"])
        for option in options()
        for told in [option.metadata]
    )
    return _table(("variable", "flag", "default", "meaning"), rows)


def _option(default: Any) -> str:
    match default:
        case bool():
            return "`on`" if default else "`off`"
        case "":
            return ""
        case _:
            return f"`{default}`"


def build_arguments(dockerfile: str) -> Iterator[tuple[str, str, str]]:
    """Name, default and the comment above of every ``ARG`` of a Dockerfile, each once."""
    seen: set[str] = set()
    comment = ""
    for line in dockerfile.splitlines():
        if line.startswith("# ") and "hadolint" not in line:
            comment = f"{comment} {line[2:]}".strip()
            continue
        if (match := re.fullmatch(r'ARG (\w+)=(?:"(.*)"|(.*))', line)) and match[1] not in seen:
            seen.add(match[1])
            yield match[1], match[2] or match[3] or "", comment
        comment = ""


def _build_arguments() -> str:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    rows = ((f"`{name}`", f"`{default}`" if default else "", told) for name, default, told in build_arguments(text))
    return _table(("argument", "default", "meaning"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def written(page: str, text: str) -> str:
    """``text`` of ``page`` with its tables made anew.

    Raises:
        ValueError: it lacks the marks of a table.
    """
    for name, table in tables()[page].items():
        begin, end = BEGIN.format(name), END.format(name)
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{page} lacks {begin} … {end}")
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}\n\n{table}\n\n{end}{rest.partition(end)[2]}"
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or tell which are out of date; the exit status."""
    parser = argparse.ArgumentParser(description="Write the tables of the documentation from the code.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a page is out of date")
    check = parser.parse_args(arguments).check
    stale = []
    for page in tables():
        text = (ROOT / page).read_text(encoding="utf-8")
        if (new := written(page, text)) != text:
            stale.append(page)
            if not check:
                (ROOT / page).write_text(new, encoding="utf-8")
    if check and stale:
        sys.stderr.write(f"out of date, run `make reference`: {', '.join(stale)}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
