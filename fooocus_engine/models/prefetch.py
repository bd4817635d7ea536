"""Reading a weights file ahead: its bytes come into the operating system's cache while the process still imports.

Takes a path, gives nothing but warmth. Loads no torch. Never raises into its caller: a file that cannot be read is the
loader's to report.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path

BLOCK = 16 * 1024 * 1024  # bytes read between two looks at the stop flag

logger = logging.getLogger(__name__)


class Prefetch:
    """A daemon thread that reads one file from start to end, once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
        self.bytes_read = 0

    def start(self) -> Prefetch:
        """Begin in the background. Only the first call does anything."""
        if self._thread.ident is None:
            try:
                self._thread.start()
            except RuntimeError as error:  # the process is out of threads, or ending
                logger.debug("reading ahead not started: %s", error)
        return self

    def stop(self) -> None:
        """End soon; what was read stays in the cache."""
        self._stop.set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether reading has ended after at most ``timeout_s``."""
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._read()
        except (OSError, MemoryError, ValueError) as error:
            logger.debug("reading ahead ended early: %s", type(error).__name__)

    def _read(self) -> None:
        buffer = memoryview(bytearray(BLOCK))
        with open(self._path, "rb", buffering=0) as file:
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while not self._stop.is_set() and (count := file.readinto(buffer)):
                self.bytes_read += count


def read_largest(folder: Path) -> Prefetch | None:
    """Begin to read the largest file of ``folder``, as a rule the checkpoint that the first job needs.

    ``None`` where there is none.
    """
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    return Prefetch(max(files, key=lambda path: path.stat().st_size)).start() if files else None
