"""Stores finished pictures while the next ones are sampled: one thread that hashes the model files, then encodes and
writes picture after picture. Knows no model; the order of a job is the conductor's.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING

from fooocus_engine.endpoints.generate.facts import Hashes, hashed_files, image_facts
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.errors import JobCanceled, ReplyTooLarge
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.encode import WRITTEN_BY
from fooocus_engine.output.metadata import embedded_text
from fooocus_engine.output.publish import publish
from fooocus_engine.types import GeneratedImage, ImageResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from fooocus_engine.endpoints.generate.render import Rendered
    from fooocus_engine.endpoints.resources import Resources


@dataclass(frozen=True)
class Wanted:
    """The job as the storing of its pictures sees it: not wanted any more also when the sampling has failed."""

    job: Job
    dropped: threading.Event = field(default_factory=threading.Event)

    @property
    def id(self) -> str:
        return self.job.id

    def check(self) -> None:
        """Return if the pictures are still wanted.

        Raises:
            JobCanceled: they are not.
        """
        self.job.check()
        if self.dropped.is_set():
            raise JobCanceled(self.id)


class Publisher:
    """A context manager around the sampling of one job. When it is left by an error, what is not stored yet is dropped
    and hashing stops within a block.
    """

    def __init__(self, plan: GenerationPlan, resources: Resources, job: Job) -> None:
        self._plan, self._resources, self._wanted = plan, resources, Wanted(job)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="publish")
        self._hashes = self._thread.submit(model_hashes, plan, resources, self._wanted.check)
        self._stored: list[Future[ImageResult]] = []

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._wanted.dropped.set()
        self._thread.shutdown(cancel_futures=error is not None)

    def add(self, picture: Rendered) -> None:
        """Store ``picture``, the next of the job, and tell the job when that is done.

        Raises:
            StorageFailed, ReplyTooLarge: earlier pictures could not be stored, or do not fit into the reply, so that
                the rest need not be made.
        """
        self._check([earlier.result() for earlier in self._stored if earlier.done()])
        self._stored.append(self._thread.submit(self._publish, len(self._stored), picture))

    def results(self) -> list[ImageResult]:
        """What became of every picture, in order; waits for the last one.

        Raises:
            StorageFailed: a picture could not be stored.
            JobCanceled: the job was given up meanwhile.
        """
        return [stored.result() for stored in self._stored]

    def _check(self, results: list[ImageResult]) -> None:
        size, limit = sum(len(result.base64 or "") for result in results), self._wanted.job.delivery.reply_bytes
        if limit is not None and size > limit:
            raise ReplyTooLarge(size, limit)

    def _publish(self, number: int, picture: Rendered) -> ImageResult:
        self._wanted.check()
        task, plan, text = picture.task, self._plan, None
        if plan.output.metadata_scheme is not None:
            hashes = self._hashes.result()
            text = embedded_text(image_facts(plan, task, expansion=picture.expansion, hashes=hashes))
        image = GeneratedImage(picture.image, task.seed, task.index, text)
        result = publish(image, plan.output, job=self._wanted, storage=self._resources.storage, software=WRITTEN_BY)
        self._wanted.job.image_ready(number, result.file_name, result.url)
        return result


def model_hashes(plan: GenerationPlan, resources: Resources, check: Callable[[], None] = lambda: None) -> Hashes:
    """The hashes that the pictures' metadata tells; none when nothing is embedded. Reads each file once.

    ``check`` may raise to give up.
    """
    if plan.output.metadata_scheme is None:
        return {}
    catalogue, shipped = resources.catalogue, resources.catalogue.is_embedded(plan.models.base)
    return {
        (kind, name): resources.store.short_hash(catalogue.find(kind, name, embedded=shipped), check)
        for kind, name in hashed_files(plan.models)
    }
