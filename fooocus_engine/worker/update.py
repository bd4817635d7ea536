"""What a client would be told of a running job now: events fold into it, and the newest state is taken when it may go.

Knows no time and no network; the words of the payload are those of api.md §6.7.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

from fooocus_engine.jobs.events import Event, ImageReady, Stage, Step

Update = dict[str, Any]


class Updates:
    """One job's. Only the newest state is kept; a preview waits until it was taken or a newer one has come."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._percent, self._text = 0, ""
        self._image, self._step, self._steps = 0, 0, 0
        self._preview: str | None = None
        self._urls: list[str] = []
        self._number = 0
        self.pending = False
        """Something was heard that was not taken yet."""
        self.urgent = False
        """A phase is among it."""

    def hear(self, event: Event) -> None:
        """Take note of ``event``. The end of a job is told by its result, not here."""
        match event:
            case Stage():
                self._percent, self._text = event.percent, event.text
                self.urgent = True
            case Step():
                self._percent, self._text = event.percent, event.text
                self._image, self._step, self._steps = event.image, event.step, event.total
                if event.preview is not None:
                    self._preview = base64.b64encode(event.preview).decode("ascii")
            case ImageReady(url=str() as url):
                self._urls.append(url)
            case _:
                return
        self.pending = True

    def take(self) -> Update:
        """The state as it is now, numbered."""
        self._number += 1
        update: Update = {
            "job_progress": self._percent,
            "job_status": self._text,
            "job_step_preview": self._preview,
            "image_index": self._image,
            "step": self._step,
            "total_steps": self._steps,
            "ts": self._now_ms(),
            "n": self._number,
        }
        if self._urls:
            update["image_urls"] = list(self._urls)
        self._preview, self.pending, self.urgent = None, False, False
        return update

    def put_back(self, update: Update) -> None:
        """``update`` did not arrive: what it told is to be told again."""
        self._preview = self._preview or update["job_step_preview"]
        self.pending = True
