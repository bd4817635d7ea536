"""The worker's entry as the SDK runs it on one machine, on the example job of `make run`, in its own process."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image

from fooocus_engine.models.catalogue import EMBEDDED
from fooocus_engine.output.encode import read_metadata

ROOT = Path(__file__).parent.parent.parent
FAST = {"advanced_params": {"overwrite_step": 2}}
NATIVE = (192, 192)  # the shipped model's own size


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The interpreter in an empty home, with its models and outputs under ``folder``."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "HOME": str(folder),
        "FOOOCUS_STORAGE": "folder",
        "FOOOCUS_DEVICE": "cpu",
        "RUNPOD_DEBUG_LEVEL": "INFO",
    }
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def run(folder: Path, **changes: object) -> subprocess.CompletedProcess[str]:
    """The recipe of `make run`, on the repository's example made fast and changed."""
    printed = python(folder, "-m", "fooocus_engine.endpoints.example", str(ROOT / "test_input.json"))
    assert printed.returncode == 0, printed.stderr
    given = json.loads(printed.stdout)["input"] | FAST | changes
    return python(folder, str(ROOT / "handler.py"), "--test_input", json.dumps({"input": given}))


def stored(folder: Path, done: subprocess.CompletedProcess[str]) -> bytes:
    """The picture whose path was printed."""
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = re.findall(r"stored (outputs/files/\S+\.png)", done.stdout)
    return (folder / path).read_bytes()


def test_the_recipe_of_make_run_is_the_one_that_is_tested_here():
    recipe = (ROOT / "Makefile").read_text()
    assert "-m fooocus_engine.endpoints.example test_input.json" in recipe
    assert 'handler.py --test_input "$$job"' in recipe


def test_the_example_job_stores_a_picture_and_prints_its_path(tmp_path):
    done = run(tmp_path)
    with Image.open(io.BytesIO(stored(tmp_path, done))) as picture:
        assert (picture.format, picture.size) == ("PNG", NATIVE)
    assert len(re.findall(r"ready after [\d.]+ s: SDK [\d.]+ s, engine [\d.]+ s, models [\d.]+ s\n", done.stdout)) == 1
    assert re.findall("loading base (\\S+)", done.stdout) == ["starter_sdxl.safetensors"]


def test_the_example_job_uses_the_users_own_checkpoint_and_loads_no_other(tmp_path):
    shipped, checkpoints = EMBEDDED / "checkpoints" / "starter_sdxl", tmp_path / "models" / "checkpoints"
    shutil.copytree(shipped, checkpoints / "mine")
    shutil.copy(shipped.with_suffix(".safetensors"), checkpoints / "mine.safetensors")
    done = run(tmp_path)
    embedded = read_metadata(stored(tmp_path, done))
    assert embedded is not None
    assert json.loads(embedded.text)["base_model"] == "mine"
    assert re.findall("loading base (\\S+)", done.stdout) == ["mine.safetensors"]


def test_a_bad_job_fails_naming_the_field(tmp_path):
    done = run(tmp_path, sharpness=31)
    assert done.returncode != 0
    assert "sharpness" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "outputs").exists()
