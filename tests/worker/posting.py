"""What carries webhooks in tests: a script of answers in place of the network."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from fooocus_engine.jobs.webhook import Rules, judge_client
from fooocus_engine.worker.webhooks import Webhooks

AT_ONCE = Rules((0.0, 0.0), judge_client)


class Posted:
    """A ``Post``: statuses, errors to raise, or ``"hang"`` until ``let_go``; then always 200."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.got: list[tuple[str, bytes, Mapping[str, str]]] = []
        self.arrived = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        self.got.append((url, body, headers))
        answer = self.answers.pop(0) if self.answers else 200
        self.arrived.set()
        if isinstance(answer, Exception):
            raise answer
        if answer == "hang":
            self.let_go.wait()
            return 200
        return int(answer)

    @property
    def bodies(self) -> list[Any]:
        """What was told, in order."""
        return [json.loads(body) for _, body, _ in self.got]


def webhooks(post: Posted | None = None, leaving: Callable[[], bool] = lambda: False, **settings: Any) -> Webhooks:
    """Webhooks that ``post`` carries, tried again without a pause."""
    return Webhooks(post or Posted(), leaving, **{"rules": AT_ONCE} | settings)
