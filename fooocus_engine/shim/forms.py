"""The body of a request as fields: JSON, multipart or urlencoded (api.md §2.1). Reads, does not judge.

Uploaded files become base64 text under their field's name, so that what follows sees one dialect.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from fooocus_engine.endpoints.table import Body
from fooocus_engine.errors import BadImage, InvalidRequest, Problem

FORM_TYPES = ("multipart/form-data", "application/x-www-form-urlencoded")
MAX_PARTS = 200  # of one form; the largest documented one has 90
MAX_FILE_BYTES = 20_000_000  # api.md §2.5
_BODY = ("body",)


@dataclass(frozen=True)
class Given:
    """What a client sent."""

    fields: dict[str, Any]
    echo: Any = None
    """The body as it is repeated in a refusal; ``None`` for forms."""


NOTHING = Given({})


@dataclass(frozen=True)
class Shape:
    """Which fields of a form are what."""

    lists: frozenset[str] = frozenset()
    """May be repeated."""
    texts: frozenset[str] = frozenset()
    """Are no files."""


async def given_body(request: Request, kind: Body, shape: Shape) -> Given:
    """The fields of a request to a route that takes ``kind``; forms are read by their ``shape``.

    Raises:
        InvalidRequest: there is no body, it cannot be read, it is no object, or a form where JSON is taken.
    """
    media = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media in FORM_TYPES:
        if kind is Body.JSON:
            raise _refused("json_type", "must be JSON, not a form")
        return Given(await _form(request, shape))
    raw = await request.body()
    if not raw and kind is Body.FORM:
        return Given({})
    return _json(raw)


def _json(raw: bytes) -> Given:
    if not raw.strip():
        raise _refused("missing", "is required")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise _refused("json_invalid", f"is not valid JSON: {_where(error)}") from None
    if not isinstance(body, dict):
        raise InvalidRequest([Problem("dict_type", _BODY, "must be an object", body)])
    return Given(body, body)


def _where(error: Exception) -> str:
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at character {error.pos}"
        case UnicodeDecodeError():
            return "no valid UTF-8"
        case RecursionError():
            return "nested too deeply"
        case _:
            return "a number has too many digits"


async def _form(request: Request, shape: Shape) -> dict[str, Any]:
    try:
        async with request.form(max_files=MAX_PARTS, max_fields=MAX_PARTS, max_part_size=2**31) as form:
            return {name: await _value(form, name, shape) for name in form}
    except HTTPException as error:
        raise _refused("form_invalid", f"is not a valid form: {error.detail}") from None


async def _value(form: FormData, name: str, shape: Shape) -> Any:
    """What the parts of one name say; of several scalars the last one counts."""
    values = [await _file(part, name, shape) if isinstance(part, UploadFile) else part for part in form.getlist(name)]
    return values if name in shape.lists and len(values) > 1 else values[-1]


async def _file(part: UploadFile, name: str, shape: Shape) -> str:
    """The base64 of an uploaded file; empty if that is."""
    if name in shape.texts:
        raise InvalidRequest([Problem("string_type", ("body", name), "must be text, not a file")])
    if (part.size or 0) > MAX_FILE_BYTES:
        raise BadImage(("body", name), f"the file has more than {MAX_FILE_BYTES // 1_000_000} MB")
    return base64.b64encode(await part.read()).decode("ascii")


def _refused(kind: str, reason: str) -> InvalidRequest:
    return InvalidRequest([Problem(kind, _BODY, reason)])
