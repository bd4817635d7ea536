"""Questions about jobs, answered from the ledger: query-job, job-events, queue, history, stop (api.md §4.3–§4.6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.shim import replies
from fooocus_engine.shim.door import Door
from fooocus_engine.shim.follower import OpenJob
from fooocus_engine.shim.ledger import Page
from fooocus_engine.shim.questions import HistoryQuestion, JobQuestion, StopQuestion, asked
from fooocus_engine.shim.responses import as_json

DEFAULT_PAGE = 20
KEEP_ALIVE_S = 15.0  # proxies close a stream that is silent for longer


async def query_job(door: Door, request: Request) -> Response:
    question = asked(JobQuestion, request)
    job = await door.desk.find(question.job_id, wait_s=question.wait)
    if job is None:
        return as_json(replies.job_not_found(), HTTPStatus.NOT_FOUND)
    return as_json(await door.teller.job(job.entry, job.preview if question.require_step_preview else None))


async def job_queue(door: Door, request: Request) -> Response:
    return as_json(
        replies.Queue(
            running_size=len(door.desk.open()),
            finished_size=door.desk.ended_count,
            last_job_id=door.desk.last_id,
        )
    )


async def job_history(door: Door, request: Request) -> Response:
    question = asked(HistoryQuestion, request)
    if question.delete:
        return await _deleted(door, question)
    queue = [replies.history_item(e) for e in door.desk.open() if question.job_id in (None, e.id)]
    paged = question.page is not None or question.page_size is not None
    long = door.settings.persistent
    page = Page(question.page or 0, (question.page_size or DEFAULT_PAGE) if paged else None, long, question.job_id)
    ended = await door.desk.ended_jobs(page)
    history = [door.teller.task(e) for e in ended] if long else [replies.history_item(e) for e in ended]
    return as_json({"queue": queue, "history": history})


async def stop(door: Door, request: Request) -> Response:
    question = asked(StopQuestion, request)
    await door.desk.stop(question.job_id, waiting_too=question.all)
    return as_json(replies.Stopped())


async def job_events(door: Door, request: Request) -> Response:
    """Server-sent events: one at once, one at every change, the last one with the end (api.md §6.9)."""
    job = await door.desk.find(asked(JobQuestion, request).job_id)
    if job is None:
        return as_json(replies.job_not_found(), HTTPStatus.NOT_FOUND)
    return StreamingResponse(_events(door, job), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


async def _deleted(door: Door, question: HistoryQuestion) -> Response:
    if question.job_id is None:
        reason = "is required to delete"
        raise InvalidRequest([Problem("missing", ("query", "job_id"), reason)])
    gone = await door.desk.delete(question.job_id)
    return as_json(replies.Message(message="Deleted" if gone else "Not found"))


async def _events(door: Door, job: OpenJob) -> AsyncIterator[str]:
    with door.desk.watched(job):
        while True:
            changed = job.changed
            yield f"data: {json.dumps(await _event(door, job))}\n\n"
            if job.entry.ended or door.desk.closing:
                return
            while not await _happened(changed):
                yield ": still here\n\n"


async def _happened(changed: asyncio.Event) -> bool:
    """Whether the event comes within the time that a stream may be silent."""
    try:
        async with asyncio.timeout(KEEP_ALIVE_S):
            return await changed.wait()
    except TimeoutError:
        return False


async def _event(door: Door, job: OpenJob) -> dict[str, object]:
    told = await door.teller.job(job.entry, job.preview)
    images = [result.model_dump() for result in told.job_result or ()]
    return {
        "progress": told.job_progress,
        "preview": told.job_step_preview,
        "message": told.job_status,
        "images": images,
    }
