"""The door in a process of its own, ``python -m fooocus_engine.shim``, in front of a platform on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from tests.shim.stub_platform import KEY

ROOT = Path(__file__).parents[2]
READY = b"Application startup complete"


def started(folder: Path, port: int, platform: int, **variables: str) -> subprocess.Popen[bytes]:
    """A door that answers, its data in ``folder``/data, given more ``variables``. Whoever starts it ends it."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "RUNPOD_ENDPOINT_BASE_URL": f"http://127.0.0.1:{platform}/v2",
        "RUNPOD_ENDPOINT_ID": "ep",
        "RUNPOD_API_KEY": KEY,
        "FOOOCUS_DATA_DIR": str(folder / "data"),
        "SHIM_PORT": str(port),
        "SHIM_PERSISTENT": "on",
        **variables,
    }
    command = [sys.executable, "-m", "fooocus_engine.shim"]
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert any(READY in line for line in process.stdout), "the door has ended"
    threading.Thread(target=_drained, args=(process.stdout,)).start()
    return process


def _drained(stream: IO[bytes]) -> None:
    """Read to the end, so that the process never waits to be read."""
    with stream:
        stream.read()
