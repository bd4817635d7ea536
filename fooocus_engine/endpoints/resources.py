"""What the endpoints work with: settings, files, models, words and storage, and the one lock around model work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.models.store import ModelStore
from fooocus_engine.output.storage.base import Storage
from fooocus_engine.prompts.workload import Words
from fooocus_engine.settings import Settings

TURN_POLL_S = 0.05  # how often a waiting job looks whether it was canceled


@dataclass(frozen=True, eq=False)
class Resources:
    """Owned by the engine, handed to every runner."""

    settings: Settings
    catalogue: Catalogue
    store: ModelStore
    storage: Storage
    words: Words
    _turn: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def gpu_turn(self, job: Job) -> Iterator[None]:
        """Model work of one job at a time; a job that waits can be canceled.

        Raises:
            JobCanceled: the job was given up while it waited.
        """
        while not self._turn.acquire(timeout=TURN_POLL_S):
            job.check()
        try:
            job.check()
            yield
        finally:
            self._turn.release()
