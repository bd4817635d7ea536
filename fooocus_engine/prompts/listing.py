"""The files of a folder with one suffix, in the order in which the reference engine walks it (prompt.md §5, §7.1).

Takes a folder, gives paths. Does not open them and knows nothing of what they hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def text_files(folder: Path, suffix: str) -> Iterator[Path]:
    """Files of ``folder`` that end in ``suffix``: deeper folders first, names without regard to case inside each.

    A missing folder has no files. Folders that are links are not entered, so the walk stays inside and ends.
    """
    if not folder.is_dir():
        return
    entries = sorted(folder.iterdir(), key=lambda path: (path.name.lower(), path.name))
    for path in entries:
        if path.is_dir() and not path.is_symlink():
            yield from text_files(path, suffix)
    yield from (path for path in entries if path.suffix.lower() == suffix and path.is_file())
