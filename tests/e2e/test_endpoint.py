"""What any deployment of this project must answer, asked of an endpoint over HTTP: a real one, or the local platform.

    FOOOCUS_TEST_ENDPOINT=https://api.runpod.ai/v2/ID FOOOCUS_TEST_API_KEY=… python -m pytest tests/e2e/test_endpoint.py

Without these variables the local platform is started by its command line, with one worker on the CPU. The jobs are
small, nothing is purged, and no other client's job is touched.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.local_platform.process import PATIENCE_S, ask, until

ROOT = Path(__file__).parents[2]
KEY = "key-of-the-tests"
PICTURE = {
    "endpoint": "text-to-image",
    "prompt": "a red cat",
    "image_seed": 11,
    "aspect_ratios_selection": "64*64",
    "require_base64": True,
    "advanced_params": {"overwrite_step": 2},
}
COUNTS = {"completed", "failed", "inProgress", "inQueue", "retried"}


@dataclass(frozen=True)
class Endpoint:
    address: str
    key: str

    def ask(self, method, path, body=None):
        return ask(self.address + path, method, body, key=self.key)

    def submit(self, **given):
        status, body = self.ask("POST", "/run", {"input": given})
        assert (status, body["status"]) == (200, "IN_QUEUE")
        return body["id"]

    def ended(self, id):
        """The status of a job when it has ended."""

        def end():
            status, told = self.ask("GET", f"/status/{id}")
            assert status == 200
            return told["status"] not in ("IN_QUEUE", "IN_PROGRESS", "RUNNING") and told

        return until(end)

    def answer(self, **given):
        """The output of a job that must succeed."""
        told = self.ended(self.submit(**given))
        assert told["status"] == "COMPLETED", told
        return told["output"]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory) -> Iterator[Endpoint]:
    if address := os.environ.get("FOOOCUS_TEST_ENDPOINT"):
        yield Endpoint(address.rstrip("/"), os.environ["FOOOCUS_TEST_API_KEY"])
        return
    data = tmp_path_factory.mktemp("data")
    given = {"FOOOCUS_DATA_DIR": data, "RUNPOD_API_KEY": KEY, "FOOOCUS_DEVICE": "cpu", "FOOOCUS_PRESET": "starter"}
    platform = subprocess.Popen(
        [sys.executable, "-m", "fooocus_engine.local_platform", "--port", "0"],
        cwd=ROOT,
        env=os.environ | {name: str(value) for name, value in given.items()},
        stdout=(log := (data / "log").open("wb")),
    )
    with log:
        found = until(lambda: re.search(r"listening on (\S+)", (data / "log").read_text(encoding="utf-8")))
        yield Endpoint(found[1], KEY)
        platform.send_signal(signal.SIGINT)
        assert platform.wait(PATIENCE_S) == 0


def test_a_job_is_run(endpoint):
    assert endpoint.answer(endpoint="ping") == {"message": "pong"}


def test_runsync_answers_with_the_output(endpoint):
    status, body = endpoint.ask("POST", "/runsync?wait=300000", {"input": {"endpoint": "styles"}})
    told = body if body["status"] == "COMPLETED" else endpoint.ended(body["id"])
    assert status == 200
    assert len(told["output"]) == 279
    assert "Fooocus V2" in told["output"]


def test_an_ended_job_tells_its_times(endpoint):
    told = endpoint.ended(endpoint.submit(endpoint="ping"))
    assert told["delayTime"] >= 0
    assert told["executionTime"] >= 0


def test_the_same_seed_gives_the_same_picture(endpoint):
    first, second = (endpoint.answer(**PICTURE)["job_result"][0] for _ in range(2))
    assert first["base64"] == second["base64"]
    picture = Image.open(io.BytesIO(base64.b64decode(first["base64"].partition(",")[2])))
    assert (picture.size, first["seed"], first["finish_reason"]) == ((64, 64), "11", "SUCCESS")


def test_a_bad_request_fails_naming_the_field(endpoint):
    told = endpoint.ended(endpoint.submit(endpoint="text-to-image", prompt="x", sharpness=31))
    assert told["status"] == "FAILED"
    error = json.loads(told["error"])
    assert (error["status"], error["detail"][0]["loc"]) == (422, ["body", "sharpness"])
    assert "Traceback" not in told["error"]


def test_a_cancelled_job_stays_cancelled(endpoint):
    id = endpoint.submit(**PICTURE, image_number=32)
    status, body = endpoint.ask("POST", f"/cancel/{id}")
    assert (status, body) == (200, {"id": id, "status": "CANCELLED"})
    assert endpoint.ended(id)["status"] == "CANCELLED"
    assert endpoint.answer(endpoint="ping") == {"message": "pong"}
    assert endpoint.ended(id)["status"] == "CANCELLED"


def test_health_counts_jobs_and_workers(endpoint):
    status, body = endpoint.ask("GET", "/health")
    assert status == 200
    assert body["jobs"].keys() >= COUNTS
    assert body["workers"].keys() >= {"idle", "running"}


def test_an_unknown_job_is_answered_with_404(endpoint):
    assert ask(f"{endpoint.address}/status/no-such-job", key=endpoint.key)[0] == 404


@pytest.mark.parametrize("key", [None, "wrong"])
def test_without_the_key_nothing_is_answered(endpoint, key):
    status, _ = ask(f"{endpoint.address}/health", key=key)
    assert status == 401


def test_the_sdks_own_client_is_served(endpoint):
    base, _, name = endpoint.address.rpartition("/")
    code = (
        "import json, os, runpod\n"
        f"endpoint = runpod.Endpoint({name!r}, api_key=os.environ['RUNPOD_API_KEY'])\n"
        "job = endpoint.run({'endpoint': 'ping'})\n"
        "print(json.dumps([job.output(timeout=600), endpoint.run_sync({'endpoint': 'ping'}), endpoint.health()]))\n"
    )
    given = {"RUNPOD_ENDPOINT_BASE_URL": base, "RUNPOD_API_KEY": endpoint.key}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second, health = json.loads(done.stdout.splitlines()[-1])
    assert first == second == {"message": "pong"}
    assert health["jobs"].keys() >= COUNTS
