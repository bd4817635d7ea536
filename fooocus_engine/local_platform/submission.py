"""The body of run and runsync → a job and the text its worker is handed. Pure."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from fooocus_engine.errors import shortened
from fooocus_engine.local_platform import json_text, limits
from fooocus_engine.local_platform.job import PlatformJob
from fooocus_engine.local_platform.refusals import BadRequest

HANDED_ON = ("webhook", "policy", "s3Config")  # besides the input (platform.md §2.2)
MAX_WEBHOOK = 2048  # characters


@dataclass(frozen=True)
class Submission:
    """``handed`` is the JSON object that a worker takes."""

    job: PlatformJob
    handed: str


def read_submission(raw: bytes, *, synchronous: bool, now_ms: int) -> Submission:
    """A new job from a request's body.

    Raises:
        BadRequest: too large, no JSON object, no input, or a value out of range; names it and what is allowed.
    """
    limit = limits.RUNSYNC_BYTES if synchronous else limits.RUN_BYTES
    if len(raw) > limit:
        raise BadRequest(f"the body has {len(raw)} bytes; allowed: up to {limit // limits.MB} MB")
    body = _object(raw)
    if "input" not in body:
        raise BadRequest("input is missing")
    policy = {} if body.get("policy") is None else body["policy"]
    if not isinstance(policy, dict):
        raise BadRequest(f"policy is {shortened(policy)!r}; allowed: an object")
    timeout_ms = _milliseconds(
        policy, "executionTimeout", limits.EXECUTION_TIMEOUT_MS, limits.EXECUTION_TIMEOUT_RANGE_MS
    )
    ttl_ms = _milliseconds(policy, "ttl", limits.TTL_MS, limits.TTL_RANGE_MS)
    job = PlatformJob(
        id=new_id(synchronous),
        synchronous=synchronous,
        queued_ms=now_ms,
        vanish_ms=now_ms + ttl_ms,
        ttl_ms=ttl_ms,
        execution_timeout_ms=timeout_ms,
        webhook=_webhook(body.get("webhook")),
    )
    handed = {"id": job.id, "input": body["input"]} | {name: body[name] for name in HANDED_ON if body.get(name)}
    return Submission(job, json_text.write(handed))


def new_id(synchronous: bool) -> str:
    """An id of the platform's form; only its prefix means something: sync- is a job of runsync."""
    return f"sync-{uuid.uuid4()}-e1" if synchronous else f"{uuid.uuid4()}-u1"


def query_milliseconds(text: str, name: str, allowed: tuple[int, int]) -> int:
    """A value of a query.

    Raises:
        BadRequest: it is no whole number of that range.
    """
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else -1
    if not allowed[0] <= number <= allowed[1]:
        raise BadRequest(f"{name} is {shortened(text)!r}; allowed: {allowed[0]} to {allowed[1]} milliseconds")
    return number


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json_text.read(raw)
    except ValueError as error:
        raise BadRequest("the body is no valid JSON", hint=shortened(str(error))) from None
    if not isinstance(body, dict):
        raise BadRequest("the body is no JSON object")
    return body


def _milliseconds(policy: dict[str, Any], name: str, default: int, allowed: tuple[int, int]) -> int:
    value = policy.get(name)
    if value is None:
        return default
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise BadRequest(f"policy.{name} is {shortened(value)!r}; allowed: whole milliseconds")
    if not allowed[0] <= value <= allowed[1]:
        raise BadRequest(
            f"policy.{name} is {shortened(str(value))}; allowed: {allowed[0]} to {allowed[1]} milliseconds"
        )
    return int(value)


def _webhook(value: Any) -> str | None:
    """The address as given; whether it may be asked is found out when it is."""
    if value is None or value == "":
        return None
    address = isinstance(value, str) and value.startswith(("http://", "https://")) and value.isprintable()
    if address and len(value) <= MAX_WEBHOOK:
        return str(value)
    raise BadRequest(f"webhook is {shortened(value)!r}; allowed: an http:// or https:// address")
