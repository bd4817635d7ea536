"""What the endpoints work with: settings, files, models, words and storage, and the one lock around model work."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from fooocus_engine.guarded_http import GuardedHttp
from fooocus_engine.jobs.job import Job
from fooocus_engine.jobs.turn import Turn
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.models.store import ModelStore
from fooocus_engine.output.storage.base import Storage
from fooocus_engine.prompts.workload import Words
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import Settings


@dataclass(frozen=True, eq=False)
class Resources:
    """Owned by the engine, handed to every runner."""

    settings: Settings
    catalogue: Catalogue
    store: ModelStore
    storage: Storage
    words: Words
    _turn: Turn = field(default_factory=Turn)

    @property
    def http(self) -> GuardedHttp:
        """For pictures that a request names by their addresses."""
        return GuardedHttp(Guard(self.settings.private_urls))

    def gpu_turn(self, job: Job) -> AbstractContextManager[None]:
        """Model work of one job at a time; a job that waits can be canceled.

        Raises:
            JobCanceled: on entering, the job was given up while it waited.
        """
        return self._turn.of(job)
