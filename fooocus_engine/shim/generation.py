"""The generation endpoints: a request in; results, a job object or the bytes of a picture out (api.md §4.1)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response

from fooocus_engine.endpoints.table import Endpoint, Route, served_endpoint
from fooocus_engine.errors import QueueFull
from fooocus_engine.jobs.record import FinishReason
from fooocus_engine.output.encode import MEDIA_TYPES
from fooocus_engine.shim import replies
from fooocus_engine.shim.accept import raw_format
from fooocus_engine.shim.door import Door
from fooocus_engine.shim.entries import Entry
from fooocus_engine.shim.follower import DoorCloses, OpenJob
from fooocus_engine.shim.forms import NOTHING, Given, given_body
from fooocus_engine.shim.gallery import converted
from fooocus_engine.shim.orders import Order, order
from fooocus_engine.shim.questions import AcceptQuestion, asked, form_shape
from fooocus_engine.shim.reading import Failure
from fooocus_engine.shim.responses import (
    RETRY_AFTER_S,
    as_json,
    failure_response,
    header_text,
    ignored_header,
    word,
)

RETRY = {"Retry-After": str(RETRY_AFTER_S)}
OWN_STATUS = (HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
"""Failures of a job that a waiting client sees as its own fault, or as a matter of this deployment."""


class Form(Enum):
    """What the caller wants back."""

    JOB = "a job object at once"
    LIST = "a list of results"
    RAW = "the bytes of the first picture"


@dataclass(frozen=True)
class Wish:
    """How one request is to be answered."""

    form: Form
    job_type: str
    extension: str = ""
    """Of the raw bytes."""
    given: Given = NOTHING


async def generate(door: Door, request: Request, row: Endpoint, route: Route) -> Response:
    """The answer to a generation request."""
    served_endpoint(row.name)
    given = await given_body(request, route.body, form_shape(row))
    request.state.given = given
    wanted, meant = door.understanding.generation(row, route, given.fields)
    extension = raw_format(
        asked(AcceptQuestion, request).accept, request.headers.get("accept", ""), wanted.save_extension
    )
    form = Form.JOB if wanted.async_process else Form.LIST if extension is None else Form.RAW
    if form is Form.RAW:
        wanted = wanted.model_copy(update={"image_number": 1, "image_total": None})
    wish = Wish(form, str(row.job_type), extension or "", given)
    response = await _answer(door, wish, order(row, wanted, spread=door.settings.fan_out, waits=form is not Form.JOB))
    response.headers.update(ignored_header(meant.ignored))
    return response


async def _answer(door: Door, wish: Wish, placed: Order) -> Response:
    deadline = time.monotonic() + door.settings.sync_timeout_s
    try:
        job = await door.desk.submit(placed)
    except QueueFull:
        return _full(wish)
    if wish.form is Form.JOB:
        return as_json(await door.teller.job(job.entry))
    try:
        entry = await door.desk.ended(job, deadline - time.monotonic())
    except DoorCloses as error:
        return _still_open(job.entry, HTTPStatus.SERVICE_UNAVAILABLE, str(error), RETRY)
    if not entry.ended:
        late = f"the job is not done after {door.settings.sync_timeout_s} s; it goes on, ask query-job"
        return _still_open(entry, HTTPStatus.GATEWAY_TIMEOUT, late, {})
    return await (_raw(door, wish, job) if wish.form is Form.RAW else _listed(door, wish, job))


def _full(wish: Wish) -> Response:
    match wish.form:
        case Form.JOB:
            response: Response = as_json(replies.queue_full(wish.job_type))
        case Form.LIST:
            response = as_json([replies.no_picture(replies.QUEUE_IS_FULL)])
        case Form.RAW:
            response = word(replies.QUEUE_IS_FULL, HTTPStatus.CONFLICT)
    response.headers.update(RETRY)
    return response


def _still_open(entry: Entry, status: HTTPStatus, detail: str, headers: Mapping[str, str]) -> Response:
    response = as_json(replies.OpenJobDetail(detail=detail, job_id=entry.id), status)
    response.headers.update(headers)
    return response


async def _listed(door: Door, wish: Wish, job: OpenJob) -> Response:
    entry = job.entry
    if entry.record.finish_reason is not FinishReason.ERROR:
        return as_json(await door.teller.results(entry))
    failure = _failure(job)
    if failure.status in OWN_STATUS:
        return failure_response(failure, wish.given)
    nothing = [replies.no_picture(FinishReason.ERROR.value)]
    return as_json(replies.FailedJob(detail=failure.cause, job_id=entry.id, job_result=nothing), 500)


async def _raw(door: Door, wish: Wish, job: OpenJob) -> Response:
    entry = job.entry
    match entry.record.finish_reason:
        case FinishReason.USER_CANCEL:
            return word(FinishReason.USER_CANCEL.value, HTTPStatus.BAD_REQUEST)
        case FinishReason.ERROR:
            failure = _failure(job)
            if failure.status in OWN_STATUS:
                return failure_response(failure, wish.given)
            return word("ERROR", HTTPStatus.INTERNAL_SERVER_ERROR, X_Error=header_text(failure.cause))
    picture = entry.pictures[0]
    data = await asyncio.to_thread(door.gallery.read, picture)
    if data is None:
        return word("ERROR", HTTPStatus.INTERNAL_SERVER_ERROR, X_Error="the picture is not kept here")
    headers = {"X-Seed": picture.seed, "X-Job-Id": entry.id, "X-File-Url": door.gallery.address(picture) or ""}
    body = await asyncio.to_thread(converted, data, wish.extension)
    return Response(body, headers=headers, media_type=MEDIA_TYPES[wish.extension])


def _failure(job: OpenJob) -> Failure:
    return job.failure or Failure(500, job.entry.record.status, str(job.entry.record.status))
