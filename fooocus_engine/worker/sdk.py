"""The one file that knows the SDK: joins the parts of this room to it and serves until the platform ends the process.

Without the platform's variables the SDK runs one job and prints the reply; then there is nobody to send progress to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import runpod
from runpod.http_client import AsyncClientSession
from runpod.serverless.modules.rp_http import JOB_DONE_URL
from runpod.serverless.modules.worker_state import IS_LOCAL_TEST, JobsProgress

from fooocus_engine.jobs.job import Job
from fooocus_engine.jobs.webhook import guarded_post
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import Settings
from fooocus_engine.worker.adapter import Adapter
from fooocus_engine.worker.checks import SelfAware, fitness_checks
from fooocus_engine.worker.line import Line
from fooocus_engine.worker.progress import ProgressSender
from fooocus_engine.worker.taking import Taking
from fooocus_engine.worker.webhooks import Webhooks


class Serving(SelfAware, Protocol):
    """An engine, as far as a worker needs it."""

    def run(self, given: Any, job: Job) -> Any:
        """Answer a job's input."""


def serve(engine: Serving, settings: Settings) -> None:
    """Take jobs and answer them with ``engine``. Returns, or raises SystemExit, when the worker ends in order."""
    for check in fitness_checks(settings, engine):
        runpod.serverless.register_fitness_check(check)
    taking = Taking(settings.slots, JobsProgress().get_job_count)
    post = guarded_post(Guard(settings.private_urls))
    webhooks = Webhooks(post, lambda: taking.leaving, secret=settings.webhook_secret)
    open_progress = None if IS_LOCAL_TEST else _progress(settings)
    adapter = Adapter(engine.run, settings, taking, webhooks, open_progress=open_progress)
    runpod.serverless.start({"handler": adapter.answer, "concurrency_modifier": taking})


def _progress(settings: Settings) -> Callable[[str], ProgressSender]:
    interval = settings.progress_interval_s
    return lambda job_id: ProgressSender(Line(AsyncClientSession, JOB_DONE_URL, job_id), interval)
