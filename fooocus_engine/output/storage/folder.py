"""Stores pictures in dated folders of this machine: ``{root}/files/{YYYY-MM-DD}/{file name}``.

Writes completely or not at all, and never over another job's picture. Knows nothing of addresses: who serves
the folder makes them.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

from fooocus_engine.errors import StorageFailed
from fooocus_engine.output.names import check_file_name
from fooocus_engine.output.storage.base import Owner, Stored

logger = logging.getLogger(__name__)

JOB_MARK = 8  # characters of the job's id that tell two pictures of one name apart (api.md §5 item 5)
UNSAFE_MARK = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True)
class FolderStorage:
    """``root`` is made when needed; ``today`` tells the date of the folder, ``link`` gives a file a second name."""

    gives_urls: ClassVar[bool] = False
    root: Path
    today: Callable[[], date] = date.today
    link: Callable[[Path, Path], None] = os.link

    def store(self, data: bytes, *, file_name: str, media_type: str, job: Owner) -> Stored:
        """Write the picture. A name that holds another picture gets ``_<first 8 of job id>`` before its ``-<i>``.

        Raises:
            StorageFailed: the name is not a plain file name, or writing failed.
        """
        folder = self.root / "files" / self.today().isoformat()
        check_file_name(file_name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with _finished(data, folder) as file:
                path = self._named(file, folder / file_name, data, job.id)
        except OSError as error:
            raise StorageFailed(f"the picture could not be stored: {error.strerror or 'input/output error'}") from error
        logger.info("stored %s", path)
        return Stored(path.name, path=path)

    def _named(self, file: Path, path: Path, data: bytes, job_id: str) -> Path:
        """``file`` as ``path`` if that is free or already this job's, else by the name that only this job uses."""
        if path.name.startswith(f"{job_id}-"):
            return file.replace(path)
        try:
            self.link(file, path)  # of two jobs that want one name at a time, one gets it
        except OSError:  # the other, or a file system without links
            same = path.is_file() and path.read_bytes() == data
            return path if same else file.replace(path.with_name(_marked(path.name, job_id)))
        return path


@contextmanager
def _finished(data: bytes, folder: Path) -> Iterator[Path]:
    """A complete file under a hidden name, which is gone afterwards: a reader never sees a part of a picture."""
    handle, name = tempfile.mkstemp(prefix=".", suffix=".part", dir=folder)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        temporary.chmod(0o644)  # a temporary file is private; pictures are served by another process
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _marked(name: str, job_id: str) -> str:
    stem, dash, rest = name.rpartition("-")
    mark = "_" + UNSAFE_MARK.sub("_", job_id[:JOB_MARK])
    return f"{stem}{mark}-{rest}" if dash else f"{Path(name).stem}{mark}{Path(name).suffix}"
