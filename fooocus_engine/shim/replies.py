"""The documented answers as shapes (api.md §4): what a client reads, key by key in the documented order.

Takes entries and finished result objects; gives models that are sent as JSON and described in ``/openapi.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from fooocus_engine.errors import Problem, shortened
from fooocus_engine.jobs.record import JobRecord, JobStage
from fooocus_engine.shim.entries import Entry

QUEUE_IS_FULL = "QUEUE_IS_FULL"
NOT_FOUND = "Not Found"


class Reply(BaseModel):
    """Base of all answers: exactly the keys that are documented."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Result(Reply):
    """One picture of a generation (§4.1)."""

    base64: str | None
    url: str | None
    seed: str
    finish_reason: str


class Job(Reply):
    """A job as of now (§4.3)."""

    job_id: str
    job_type: str
    job_stage: str
    job_progress: int
    job_status: str | None
    job_step_preview: str | None
    job_result: list[Result] | None


class Queue(Reply):
    """§4.4."""

    running_size: int
    finished_size: int
    last_job_id: str | None


class HistoryItem(Reply):
    """§4.5; times in milliseconds since the epoch, 0 = not yet."""

    job_id: str
    in_queue_mills: int
    start_mills: int
    finish_mills: int
    is_finished: bool


class TaskInfo(Reply):
    """What the long history tells of a job."""

    task_id: str
    task_type: str
    task_in_queue_mills: int
    task_start_mills: int
    task_finish_mills: int
    result_url: str
    finish_reason: str
    date_time: str


class Task(Reply):
    """One ended job in the long history."""

    params: dict[str, Any]
    task_info: TaskInfo


class History(Reply):
    """§4.5; the long form of ended jobs comes with ``--persistent``."""

    queue: list[HistoryItem]
    history: list[HistoryItem] | list[Task]


class Message(Reply):
    """The answer of clean_vram and of a deletion."""

    message: str


class Stopped(Reply):
    """§4.6."""

    msg: str = "success"


class Models(Reply):
    """§4.7."""

    model_config = ConfigDict(frozen=True, extra="allow")
    model_filenames: list[str]
    lora_filenames: list[str]


class Description(Reply):
    """The answer of describe-image."""

    describe: str


class Detail(Reply):
    """An error with one sentence."""

    detail: str


class OpenJobDetail(Detail):
    """An error that leaves the job running."""

    job_id: str


class FailedJob(OpenJobDetail):
    """A job that failed while its client waited."""

    job_result: list[Result]


class Refused(Reply):
    """A request with faults (§4.9)."""

    detail: list[dict[str, Any]]
    body: Any


class Health(Reply):
    """This door, and the platform behind it; ``None`` while that gives no answer."""

    status: str
    open_jobs: int
    platform: dict[str, Any] | None


def no_picture(reason: str) -> Result:
    """The result object that stands for a picture that there is not."""
    return Result(base64=None, url=None, seed="", finish_reason=reason)


def job(entry: Entry, results: Sequence[Result] | None, preview: str | None = None) -> Job:
    """The job object; ``results`` are those of an ended job."""
    record = entry.record
    return Job(
        job_id=record.id,
        job_type=record.job_type,
        job_stage=record.stage.value,
        job_progress=record.progress,
        job_status=record.status,
        job_step_preview=preview,
        job_result=None if results is None else list(results),
    )


def job_not_found() -> Job:
    """The answer for an id that nobody knows."""
    return _jobless(NOT_FOUND, "Job not found", None)


def queue_full(job_type: str) -> Job:
    """The job object of a submit that was not taken."""
    return _jobless(job_type, None, [no_picture(QUEUE_IS_FULL)])


def history_item(entry: Entry) -> HistoryItem:
    record = entry.record
    return HistoryItem(
        job_id=record.id,
        in_queue_mills=record.in_queue_ms,
        start_mills=record.start_ms or 0,
        finish_mills=record.finish_ms or 0,
        is_finished=record.ended,
    )


def task(entry: Entry, urls: Sequence[str]) -> Task:
    """The long form of an ended job."""
    record = entry.record
    return Task(params=dict(entry.request), task_info=_task_info(record, urls))


def refused(problems: Sequence[Problem], body: Any) -> Refused:
    """The answer to a request with faults; ``body`` is repeated in short."""
    return Refused(detail=[problem.as_json() for problem in problems], body=shortened(body))


def _jobless(job_type: str, status: str | None, results: list[Result] | None) -> Job:
    return Job(
        job_id="",
        job_type=job_type,
        job_stage=JobStage.ERROR.value,
        job_progress=0,
        job_status=status,
        job_step_preview=None,
        job_result=results,
    )


def _task_info(record: JobRecord, urls: Sequence[str]) -> TaskInfo:
    finish_ms = record.finish_ms or 0
    return TaskInfo(
        task_id=record.id,
        task_type=record.job_type,
        task_in_queue_mills=record.in_queue_ms,
        task_start_mills=record.start_ms or 0,
        task_finish_mills=finish_ms,
        result_url=",".join(urls),
        finish_reason=record.finish_reason.value if record.finish_reason else "",
        date_time=datetime.fromtimestamp(finish_ms / 1000).strftime("%Y-%m-%d %H:%M:%S"),
    )
