"""What a client is told of a job (platform.md §6.1), as JSON text. Pure."""

from __future__ import annotations

from fooocus_engine.local_platform import json_text
from fooocus_engine.local_platform.job import PlatformJob


def status_fields(job: PlatformJob, output: str | None, error: str | None) -> dict[str, str]:
    """Field names and values as JSON texts; the unknown is left out. ``output`` is JSON text, ``error`` is not."""
    known: dict[str, object] = {
        "id": job.id,
        "status": job.state.value,
        "delayTime": job.delay_ms,
        "executionTime": job.execution_ms,
        "workerId": job.worker,
        "retries": job.retries or None,
        "error": error,
    }
    fields = {name: json_text.write(value) for name, value in known.items() if value is not None}
    return fields if output is None else {**fields, "output": output}


def status_text(job: PlatformJob, output: str | None = None, error: str | None = None) -> str:
    """The answer of ``status``."""
    return json_text.joined(status_fields(job, output, error))


def webhook_body(job: PlatformJob, output: str | None, error: str | None, handed: str) -> str:
    """What the webhook is sent: the status, the whole input and the address itself (platform.md §6.4)."""
    told = {"input": json_text.read(handed)["input"], "webhook": job.webhook}
    return json_text.joined(
        status_fields(job, output, error) | {name: json_text.write(value) for name, value in told.items()}
    )
