"""The one lock around model work: one job at a time, and a job that waits for it can be canceled."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fooocus_engine.jobs.job import Job

POLL_S = 0.05  # how often a waiting job looks whether it was canceled


class Turn:
    """Shared by all jobs of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def of(self, job: Job) -> Iterator[None]:
        """Alone with the device for the length of the ``with``.

        Raises:
            JobCanceled: the job was given up while it waited.
        """
        while not self._lock.acquire(timeout=POLL_S):
            job.check()
        try:
            job.check()
            yield
        finally:
            self._lock.release()
