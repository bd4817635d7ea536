"""The engine: owns all resources of a process and answers inputs. Building one reads no weights; ``warm_up`` does."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

import torch

from fooocus_engine.endpoints.dialects import as_written, canonical
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.webhook import wanted_webhook
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.endpoints.runners import RUNNERS
from fooocus_engine.endpoints.s3_config import client_bucket
from fooocus_engine.endpoints.table import ENDPOINTS
from fooocus_engine.errors import EngineError, GpuOutOfMemory, InvalidRequest, ModelUnavailable
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.models.places import installed
from fooocus_engine.models.store import ModelStore
from fooocus_engine.output.storage import ClientBuckets, open_storage
from fooocus_engine.prompts.styles import installed_styles
from fooocus_engine.prompts.wildcards import SHIPPED, WildcardFiles
from fooocus_engine.prompts.workload import Words
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice

logger = logging.getLogger(__name__)


class Engine:
    """One per process. ``run`` may be called from several threads; model work takes turns."""

    def __init__(self, settings: Settings, *, words: Words | None = None) -> None:
        catalogue = installed(settings)
        self.resources = Resources(
            settings=settings,
            catalogue=catalogue,
            store=ModelStore(settings, catalogue),
            storage=open_storage(settings),
            words=words or installed_words(catalogue),
        )
        self._guard = Guard(settings.private_urls)
        self._client_buckets = ClientBuckets(settings, self._guard)

    def run(self, given: object, job: Job) -> Any:
        """Answer a job's ``input``: find the endpoint, validate, run. A bucket of the job's own gets its pictures.

        Raises:
            EngineError: with a message for the client.
            JobCanceled: the job was given up.
        """
        endpoint, fields, ignored = canonical(given)
        row = ENDPOINTS[endpoint]
        if ignored:
            logger.info("job %s: fields ignored: %s", job.id, ", ".join(sorted(ignored)))
        logger.info("job %s: %s", job.id, row.name)
        if row.job_type is not None:
            job.webhook_url = wanted_webhook(fields)
        resources = self.resources if row.job_type is None else self._delivering(job)
        try:
            return RUNNERS[row.name](fields, resources, job)
        except InvalidRequest as error:
            if (written := as_written(endpoint, given, error.problems)) == error.problems:
                raise
            raise InvalidRequest(written) from error
        except torch.OutOfMemoryError as error:
            raise GpuOutOfMemory("out of device memory", hint="ask for a smaller picture") from error

    def _delivering(self, job: Job) -> Resources:
        """The resources, with the storage that ``job`` wants."""
        if job.delivery.s3_config is None:
            return self.resources
        bucket = client_bucket(job.delivery.s3_config, self._guard)
        return dataclasses.replace(self.resources, storage=self._client_buckets.storage(bucket))

    def warm_up(self) -> None:
        """Load the models of the default preset, so that the first job finds them. A failure is logged alone."""
        try:
            if name := self.load_default():
                logger.info("loaded %s", name)
        except EngineError as error:
            logger.warning("no model loaded ahead: %s", error)

    def load_default(self) -> str | None:
        """Load the checkpoint of the default preset, or find it loaded; its name.

        ``None`` where others are installed instead: a request may name one of them.

        Raises:
            EngineError: it is installed, but cannot be used.
        """
        preset, catalogue = preset_named(self.resources.settings.preset), self.resources.catalogue
        try:
            chosen = catalogue.default_checkpoint(preset.base_model_name, preset.previous_default_models)
        except ModelUnavailable as missing:
            logger.warning("no model loaded ahead: %s", missing)
            return None
        with self.resources.store.prepared(ModelChoice(base=chosen.name)):
            return chosen.name

    def free_device_bytes(self) -> int | None:
        """What a picture may use of the device's memory; ``None`` where it has none of its own."""
        device = self.resources.store.target.device
        if device.type != "cuda":
            return None
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused


def installed_words(catalogue: Catalogue) -> Words:
    """The shipped styles and wildcards, with those of the installed ``sdxl_styles`` and ``wildcards`` over them."""
    return Words(installed_styles(catalogue), WildcardFiles.load((SHIPPED, catalogue.folder("wildcards"))))
