"""Chooses where finished pictures go: by the settings, or by the bucket that a job brings along."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from datetime import date

from fooocus_engine.bucket import Bucket
from fooocus_engine.output.storage.base import Storage
from fooocus_engine.output.storage.folder import FolderStorage
from fooocus_engine.output.storage.inline import InlineStorage
from fooocus_engine.output.storage.s3 import BucketClient, S3Storage
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import Settings

MAX_OPEN = 16  # buckets of clients whose connections are kept


def open_storage(settings: Settings, *, today: Callable[[], date] = date.today) -> Storage:
    """The storage that ``settings.storage`` names: ``inline``, ``folder`` or ``s3``. Connects to nothing yet."""
    match settings.storage:
        case "folder":
            return FolderStorage(settings.outputs_dir, today)
        case "s3":
            assert settings.bucket is not None  # Settings sees to it
            return _bucket_storage(settings.bucket, settings, None)
        case _:
            return InlineStorage()


class ClientBuckets:
    """The storages of buckets that jobs bring along; each is opened once, and the longest unused are let go."""

    def __init__(self, settings: Settings, guard: Guard) -> None:
        """``guard`` decides to whom a connection may be made."""
        self._settings, self._guard = settings, guard
        self._open: OrderedDict[Bucket, Storage] = OrderedDict()
        self._lock = threading.Lock()

    def storage(self, bucket: Bucket) -> Storage:
        """The storage of ``bucket``, the same one every time."""
        with self._lock:
            found = self._open.pop(bucket, None) or _bucket_storage(bucket, self._settings, self._guard)
            self._open[bucket] = found
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
            return found


def _bucket_storage(bucket: Bucket, settings: Settings, guard: Guard | None) -> Storage:
    def connect() -> BucketClient:
        from fooocus_engine.output.storage.boto_client import BotoClient  # takes long, and most never need it

        return BotoClient(bucket, settings.uploads, guard=guard)

    return S3Storage(connect, settings.uploads)
