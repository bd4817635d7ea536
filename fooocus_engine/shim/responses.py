"""Answers as HTTP sends them: JSON of replies, errors with their status and headers (api.md §4.9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel
from pydantic_core import to_json
from starlette.responses import PlainTextResponse, Response

from fooocus_engine.endpoints.dialects import spoken
from fooocus_engine.errors import EngineError, InvalidRequest, QueueFull, shortened
from fooocus_engine.shim import replies
from fooocus_engine.shim.follower import DoorCloses
from fooocus_engine.shim.forms import NOTHING, Given
from fooocus_engine.shim.listing import AnswerFailed
from fooocus_engine.shim.platform import PlatformUnreachable
from fooocus_engine.shim.reading import Failure

RETRY_AFTER_S = 5
MAX_HEADER = 2000  # characters
INTERNAL = "Internal Server Error"


def as_json(reply: BaseModel | Sequence[BaseModel] | Any, status: int = 200, **headers: str) -> Response:
    """A reply, or several, or plain JSON values."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(to_json(reply, inf_nan_mode="null"), status, named, "application/json")


def error_response(error: EngineError, given: Given = NOTHING) -> Response:
    """The answer that an error of the house means to a client who sent ``given``."""
    match error:
        case InvalidRequest():
            return as_json(replies.refused(error.problems, given.echo), error.status)
        case AnswerFailed():
            return failure_response(error.failure, given)
        case QueueFull() | PlatformUnreachable() | DoorCloses():
            return as_json(replies.Detail(detail=str(error)), error.status, Retry_After=str(RETRY_AFTER_S))
        case _:
            return as_json(replies.Detail(detail=str(error)), error.status)


def failure_response(failure: Failure, given: Given) -> Response:
    """The answer to a question that a worker refused, each place in the field names of the client."""
    if failure.status == HTTPStatus.UNPROCESSABLE_ENTITY and isinstance(failure.detail, list):
        problems = [
            {**problem, "loc": spoken(tuple(problem.get("loc", ())), given.fields)}
            for problem in failure.detail
            if isinstance(problem, Mapping)
        ]
        return as_json(replies.Refused(detail=problems, body=shortened(given.echo)), failure.status)
    return as_json(replies.Detail(detail=failure.cause), failure.status)


def word(text: str, status: int, **headers: str) -> PlainTextResponse:
    """The answer of one word that callers of raw pictures get."""
    return PlainTextResponse(text, status, {name.replace("_", "-"): value for name, value in headers.items()})


def header_text(text: str) -> str:
    """``text`` as a header can carry it: printable ASCII, one line, the rest percent-encoded."""
    return quote(text.encode("utf-8", "replace"), safe=" !\"#$&'()*+,-./:;<=>?@[]^_`{|}~")[:MAX_HEADER]


def ignored_header(names: Sequence[str]) -> Mapping[str, str]:
    """The header that names the fields which nothing reads."""
    return {"X-Ignored-Fields": header_text(", ".join(names))} if names else {}
