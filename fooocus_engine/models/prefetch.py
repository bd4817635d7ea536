"""Reading a weights file ahead: its bytes come into the operating system's cache while the process still imports.

Takes a path, gives nothing but warmth. Loads no torch. Never raises into its caller: a file that cannot be read is the
loader's to report.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from pathlib import Path

BLOCK = 16 * 1024 * 1024  # bytes read at a time

logger = logging.getLogger(__name__)


def read_largest(files: Iterable[Path]) -> threading.Thread | None:
    """Begin to read the largest of ``files``, as a rule the checkpoint that the first job needs.

    ``None`` where there is none.
    """
    there = [path for path in files if path.is_file()]
    return read_ahead(max(there, key=lambda path: path.stat().st_size)) if there else None


def read_ahead(path: Path) -> threading.Thread:
    """The daemon thread that reads ``path`` from start to end, started."""
    thread = threading.Thread(target=_run, args=(path,), name="prefetch", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the process is out of threads, or ending
        logger.debug("reading ahead not started: %s", error)
    return thread


def _run(path: Path) -> None:
    try:
        logger.debug("read ahead %d bytes of %s", _read(path), path.name)
    except (OSError, MemoryError, ValueError) as error:
        logger.debug("reading ahead ended early: %s", type(error).__name__)


def _read(path: Path) -> int:
    buffer = memoryview(bytearray(BLOCK))
    total = 0
    with open(path, "rb", buffering=0) as file:
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while count := file.readinto(buffer):
            total += count
    return total
