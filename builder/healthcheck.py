"""The container's health check: ``python healthcheck.py [URL]``. Uses nothing but the standard library.

With an address: somebody answers there, a refusal included. Without: process 1, the worker, is there and not stopped; a
worker that serves jobs has no door of its own, and its platform watches its pings.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_S = 4
FIRST_PROCESS = Path("/proc/1/stat")
GONE = ("Z", "X", "T")
"""Zombie, dead, stopped (proc(5))."""


def answers(url: str) -> bool:
    """Whether anything but a server's own failure comes back."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S):
            return True
    except urllib.error.HTTPError as refusal:
        return refusal.code < 500
    except OSError:
        return False


def runs(stat: Path = FIRST_PROCESS) -> bool:
    """Whether the first process runs. Its state stands behind its name, which may hold brackets and blanks."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] not in GONE
    except (OSError, IndexError):
        return False


if __name__ == "__main__":
    sys.exit(0 if (answers(sys.argv[1]) if sys.argv[1:] else runs()) else 1)
