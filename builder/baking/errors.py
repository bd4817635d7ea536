"""Why a bake ends badly, and the exit status that tells it.

BakeFailed           1  a file could not be fetched
├── BadChoice        2  the arguments, the environment or the lock file cannot be used
├── WrongContent     3  a file has another size or digest than it must have
└── NoSpace          4  the disk is too small
"""

from __future__ import annotations


class BakeFailed(Exception):
    """Read by who builds an image; names the file, never a token."""

    status = 1


class BadChoice(BakeFailed):
    """Names what was given and what is allowed."""

    status = 2


class WrongContent(BakeFailed):
    """What lies on disk or on the server is not the file that was meant."""

    status = 3


class NoSpace(BakeFailed):
    """Found before anything is fetched."""

    status = 4
