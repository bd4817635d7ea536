"""Names of files, and parts of keys, made of text from outside. Knows neither folders nor buckets."""

from __future__ import annotations

import re

from fooocus_engine.errors import StorageFailed

PLAIN_BYTES = 200  # file systems allow 255 bytes; index, extension and a job's mark are added
NAME_BYTES = 255  # longest file name of common file systems
NOT_IN_NAMES = re.compile(r"[^\w .-]|^\.")
FORBIDDEN = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')


def plain_name(text: str) -> str:
    """``text`` with every character replaced that no file name may have, cut between characters to 200 bytes."""
    name = NOT_IN_NAMES.sub("_", text.replace("..", "__"))
    return name.encode("utf-8", "replace")[:PLAIN_BYTES].decode("utf-8", "ignore")


def check_file_name(name: str) -> None:
    """Return if ``name`` is one plain file name that cannot leave its folder.

    Raises:
        StorageFailed: it is not.
    """
    size = len(name.encode("utf-8", "surrogatepass"))
    if FORBIDDEN.search(name) or name.startswith(".") or ".." in name or not 0 < size <= NAME_BYTES:
        raise StorageFailed(f"{name[:NAME_BYTES]!r} cannot be a file name; allowed: one plain name of 1 to 255 bytes")
