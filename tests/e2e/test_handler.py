"""The worker's entry as the SDK runs it on one machine: `handler.py` with a `test_input.json`, in its own process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


def run(folder: Path, given: dict[str, object]) -> subprocess.CompletedProcess[str]:
    """The handler in an empty home, with its outputs under ``folder``."""
    (folder / "test_input.json").write_text(json.dumps({"input": given}))
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "FOOOCUS_STORAGE": "folder",
        "FOOOCUS_DEVICE": "cpu",
        "RUNPOD_DEBUG_LEVEL": "INFO",
    }
    command = [sys.executable, str(ROOT / "handler.py")]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def shipped_input() -> dict[str, object]:
    """The repository's own example, small."""
    given = json.loads((ROOT / "test_input.json").read_text())["input"]
    return given | {"aspect_ratios_selection": "64*64", "advanced_params": {"overwrite_step": 2}}


def test_the_example_job_stores_a_picture_and_prints_its_path(tmp_path, shipped_input):
    done = run(tmp_path, shipped_input)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = re.findall(r"stored (outputs/files/\S+\.png)", done.stdout)
    assert (tmp_path / path).read_bytes().startswith(b"\x89PNG")
    assert re.search(r"ready after [\d.]+ s: imports [\d.]+ s, models [\d.]+ s", done.stdout)


def test_a_bad_job_fails_naming_the_field(tmp_path, shipped_input):
    done = run(tmp_path, shipped_input | {"sharpness": 31})
    assert done.returncode != 0
    assert "sharpness" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "outputs").exists()
