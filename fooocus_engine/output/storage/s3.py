"""Stores pictures in a bucket and answers with their addresses. Tries again with growing pauses when a store is unwell.

Keys are made of the job's id and the file's name, so a job that runs again overwrites its own pictures. Knows no
library: the client of the store is handed in, and made when the first picture comes.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, ClassVar, Protocol

from fooocus_engine.bucket import UploadSettings
from fooocus_engine.errors import StorageFailed
from fooocus_engine.output.names import check_file_name, plain_name
from fooocus_engine.output.storage.base import Owner, Stored

logger = logging.getLogger(__name__)

ATTEMPTS = 5
FIRST_PAUSE_S = 0.5  # doubles with every attempt, and is shortened by up to a half so that workers do not come at once
LOOK_S = 0.1  # how often a pause asks whether the job was given up
MAX_KEY_BYTES = 1024  # of UTF-8, in every S3-compatible store


class UploadFailed(Exception):
    """A store did not take an object. The text tells clients why and holds nothing that a store said but its code."""

    def __init__(self, reason: str, *, passing: bool) -> None:
        """``passing``: the same upload may succeed later."""
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True)
class Parcel:
    """One object on its way."""

    key: str
    body: BinaryIO
    media_type: str
    md5: bytes
    """Digest of the body, so that the store refuses what was changed on the way."""


class BucketClient(Protocol):
    """What is asked of a store. Calls come from several threads at a time."""

    def put(self, parcel: Parcel) -> None:
        """Keep an object, completely or not at all.

        Raises:
            UploadFailed: it was not kept.
        """

    def url(self, key: str) -> str:
        """The address under which a reader gets the object."""
        ...


class S3Storage:
    """One bucket. ``connect`` makes its client and is called once; ``pause`` waits for some seconds."""

    gives_urls: ClassVar[bool] = True

    def __init__(
        self,
        connect: Callable[[], BucketClient],
        uploads: UploadSettings,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect, self._uploads, self._pause = connect, uploads, pause
        self._client: BucketClient | None = None
        self._connecting = threading.Lock()

    def store(self, data: bytes, *, file_name: str, media_type: str, job: Owner) -> Stored:
        """Upload the picture; its ``url`` is signed or public, as the settings say.

        Raises:
            StorageFailed: the name is not a plain file name, or the store did not take the picture in several attempts.
            JobCanceled: the job was given up; what was not complete is not kept.
        """
        check_file_name(file_name)
        key = self._uploads.key(job_id=plain_name(job.id), file_name=file_name)
        if len(key.encode()) > MAX_KEY_BYTES:
            raise StorageFailed(f"the picture's key is longer than {MAX_KEY_BYTES} bytes; choose a shorter save_name")
        job.check()
        try:
            client = self._connected()
            self._upload(client, key, data, media_type, job)
        except UploadFailed as failed:
            raise StorageFailed(f"the picture could not be stored in the bucket: {failed}") from failed
        logger.info("job %s: stored %s in the bucket", job.id, key)
        return Stored(file_name, url=client.url(key))

    def _connected(self) -> BucketClient:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _upload(self, client: BucketClient, key: str, data: bytes, media_type: str, job: Owner) -> None:
        md5 = hashlib.md5(data, usedforsecurity=False).digest()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                client.put(Parcel(key, WatchedBody(data, job), media_type, md5))
                return
            except UploadFailed as failed:
                job.check()  # a client wraps whatever stops it, a cancel included
                if attempt == ATTEMPTS or not failed.passing:
                    raise
                logger.warning("job %s: attempt %d of %d to store %s: %s", job.id, attempt, ATTEMPTS, key, failed)
            self._wait(FIRST_PAUSE_S * 2 ** (attempt - 1) * random.uniform(0.5, 1), job)

    def _wait(self, seconds: float, job: Owner) -> None:
        looks = math.ceil(seconds / LOOK_S)
        for _ in range(looks):
            self._pause(seconds / looks)
            job.check()


class WatchedBody(io.BytesIO):
    """Bytes to send that stop being readable when their job is given up."""

    def __init__(self, data: bytes, job: Owner) -> None:
        super().__init__(data)
        self._job = job

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes.

        Raises:
            JobCanceled: the job was given up.
        """
        self._job.check()
        return super().read(size)
