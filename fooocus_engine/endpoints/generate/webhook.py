"""``deliver_webhook``: whom a worker itself tells the end of a job, and what that takes (api.md §6.8). No torch.

Sends nothing: who runs the job does, when its reply is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.wire_types import WebUrl, WireModel
from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.output.storage.base import Storage


class _Wish(WireModel):
    deliver_webhook: bool = False
    webhook_url: WebUrl = ""


def wanted_webhook(fields: Mapping[str, Any]) -> str:
    """The address that canonical ``fields`` want told, or nothing; also where all else in them is wrong."""
    try:
        wish = _Wish.model_validate(fields)
    except ValidationError:
        return ""
    return wish.webhook_url if wish.deliver_webhook else ""


def check_webhook(request: GenerateRequest, storage: Storage) -> None:
    """Return if the end of ``request`` can be told as it wants.

    Raises:
        InvalidRequest: it names nobody, or its pictures will have no addresses that could be told.
    """
    if request.deliver_webhook and (problems := list(_problems(request, storage))):
        raise InvalidRequest(problems)


def _problems(request: GenerateRequest, storage: Storage) -> Iterator[Problem]:
    if not request.webhook_url:
        yield Problem("missing", ("body", "webhook_url"), "is required with deliver_webhook")
    if not storage.gives_urls:
        reason = "needs a bucket, whose addresses are told: this worker has none, and the job brings no s3Config"
        yield Problem("no_bucket", ("body", "deliver_webhook"), reason, request.deliver_webhook)
