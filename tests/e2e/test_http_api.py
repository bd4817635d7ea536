"""The documented requests against the drop-in server: ``python -m fooocus_engine.shim --local``, with the SDK's worker.

A tiny model paints two steps a picture; it and its LoRAs lie under the names that the examples use. With
``FOOOCUS_TEST_API=http://host:port`` a server that runs already is asked instead.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fooocus_engine.endpoints.generate.presets import preset_named
from tests.shim.pictures import served_pictures
from tests.shim.replay import HTTP, NO_ENGINE, Replay, check, picture_of

ROOT = Path(__file__).parents[2]
CHECKPOINT = ROOT / "tests" / "golden" / "records" / "tiny" / "tiny_sdxl.safetensors"
LORA = "sd_xl_offset_example-lora_1.0.safetensors"
LACKING = {"t2i-15": "black_out_nsfw", "uov-18": "image_prompts", "inp-15": "image_prompts"}
"""Examples that a worker answers with 501 because of one field, until that has an engine part."""
QUERY = "/v1/generation/query-job"
STEPS = 2
PATIENCE_S = 3000.0

pytestmark = pytest.mark.timeout(7200)


def stand_ins(models: Path) -> None:
    """A models folder with the recordings' tiny model and its LoRAs under the names that the examples use."""
    checkpoint = models / "checkpoints" / preset_named("default").base_model_name
    checkpoint.parent.mkdir(parents=True)
    shutil.copy(CHECKPOINT, checkpoint)
    shutil.copytree(CHECKPOINT.with_suffix(""), checkpoint.with_suffix(""))
    shutil.copytree(CHECKPOINT.parent / "loras", models / "loras")
    shutil.copy(models / "loras" / "tiny_kohya.safetensors", models / "loras" / LORA)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    """The address of a running server."""
    if address := os.environ.get("FOOOCUS_TEST_API"):
        yield address
        return
    folder = tmp_path_factory.mktemp("server")
    stand_ins(folder / "models")
    port, platform = free_ports(2)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "FOOOCUS_DEVICE": "cpu",
        "FOOOCUS_MODELS_DIR": str(folder / "models"),
        "FOOOCUS_DATA_DIR": str(folder / "data"),
        "FOOOCUS_ALLOW_PRIVATE_URLS": "on",
        "SHIM_LOCAL_PORT": str(platform),
        "SHIM_SYNC_TIMEOUT": str(round(PATIENCE_S)),
    }
    command = [sys.executable, "-m", "fooocus_engine.shim", "--local", "--port", str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=30), trust_env=False, timeout=600) as client:
                assert client.get(f"http://127.0.0.1:{port}/ping").json() == "pong"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)
            status = process.wait(600)
    assert status == 0, (folder / "log").read_text()


@pytest.fixture(scope="module")
def client(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=PATIENCE_S, trust_env=False) as found:
        yield found


@pytest.fixture(scope="module")
def pictures() -> Iterator[str]:
    with served_pictures() as address:
        yield address


def ended(client: httpx.Client, job_id: str) -> dict:
    """The job object when the job has ended."""
    while True:
        job = client.get(QUERY, params={"job_id": job_id, "wait": 60}).json()
        if job["job_stage"] in ("SUCCESS", "ERROR"):
            return job


@pytest.mark.parametrize("block", HTTP)
def test_documented_requests_are_answered_as_documented(client, pictures, block):
    replay = Replay(client, lambda name: f"{pictures}/{name}", steps=STEPS)
    wrong = []
    for example in HTTP[block]:
        try:
            answered(client, replay, example)
        except AssertionError as error:
            wrong.append(f"{example['id']}: {error}")
    assert not wrong, "\n".join(wrong)


def answered(client: httpx.Client, replay: Replay, example: dict) -> None:
    """Send an example and hold its answer, and the pictures that come of it, against what is documented."""
    if example["id"] == "job-12":
        ended(client, replay.job)
    reply = replay.send(example)
    if example["id"] in LACKING and example["path"] not in NO_ENGINE and reply.status_code == 501:
        assert LACKING[example["id"]] in reply.json()["detail"]
        return
    check(reply, example)
    if example["id"] != "job-01" and reply.status_code == 200:
        for result in results(client, reply, example):
            assert picture_of(client.get(result["url"]).content)


def results(client: httpx.Client, reply: httpx.Response, example: dict) -> list[dict]:
    """The result objects that an answer leads to, once its job has ended; none of a question."""
    match example["expect"]["shape"]:
        case "list":
            return reply.json()
        case "job" if example["method"] == "POST":
            job = ended(client, reply.json()["job_id"])
            assert job["job_stage"] == "SUCCESS", (example["id"], job["job_status"])
            return job["job_result"]
        case _:
            return []
