"""Pictures in a bucket, from a job to a reader of the address: the server's bucket, and one that a job brings along."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from fooocus_engine.bucket import UploadSettings
from fooocus_engine.engine import Engine
from fooocus_engine.errors import InvalidRequest, StorageFailed
from fooocus_engine.jobs.job import Delivery, Job
from fooocus_engine.jobs.webhook import guarded_post
from fooocus_engine.output.encode import read_metadata
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import EVERY_NETWORK, Settings, settings_from_environment
from fooocus_engine.worker.adapter import Adapter
from fooocus_engine.worker.taking import Taking
from fooocus_engine.worker.webhooks import Webhooks
from tests.s3_server import ACCESS, NAME, SECRET, s3_server
from tests.shim.receiver import receiver

HANDLER = Path(__file__).parent.parent.parent / "handler.py"
INPUT = {
    "endpoint": "text-to-image",
    "preset": "starter",
    "prompt": "a cat",
    "image_seed": 7,
    "aspect_ratios_selection": "64*64",
    "advanced_params": {"overwrite_step": 2},
}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def bucket_of_job(server, **changes):
    told = {"endpointUrl": server.address, "accessId": ACCESS, "accessSecret": SECRET, "bucketName": NAME}
    return told | changes


def answered(settings, **job):
    """What an engine with these settings replies to the job."""
    return Engine(settings).run({**INPUT, "image_number": 2}, Job("job-1", lambda event: None, **job))


def seed_of(url):
    """The seed that the picture at ``url`` says it was made with."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return json.loads(read_metadata(answer.read()).text)["seed"]


def test_the_handler_stores_its_picture_in_the_bucket_and_prints_no_key(s3, tmp_path):
    environment = {
        **s3.environment(),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(HANDLER.parent),
        "HOME": str(tmp_path),
        "FOOOCUS_STORAGE": "s3",
        "FOOOCUS_DEVICE": "cpu",
        "RUNPOD_DEBUG_LEVEL": "INFO",
    }
    command = [sys.executable, str(HANDLER), "--test_input", json.dumps({"id": "job-0", "input": INPUT})]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    assert done.returncode == 0, told
    (url,) = re.findall(rf"{s3.address}/{NAME}/job-0/job-0-0\.png\?[^'\s]+", told)
    assert seed_of(url) == "7"
    assert SECRET not in told


def test_a_job_that_runs_again_leaves_the_same_objects(s3, tmp_path):
    settings = settings_from_environment({**s3.environment(), "FOOOCUS_MODELS_DIR": str(tmp_path)})
    reply = answered(settings)
    assert [(seed_of(entry["url"]), entry["base64"]) for entry in reply["job_result"]] == [("7", None), ("8", None)]
    before = s3.objects()
    answered(settings)
    assert s3.objects() == before
    assert SECRET not in json.dumps(reply)


def test_a_job_that_brings_a_bucket_finds_its_pictures_there_and_no_key_in_them(s3, tmp_path):
    settings = Settings(models_dir=tmp_path, private_urls=EVERY_NETWORK, uploads=UploadSettings(prefix="own"))
    reply = answered(settings, delivery=Delivery(bucket_of_job(s3)))
    assert [seed_of(entry["url"]) for entry in reply["job_result"]] == ["7", "8"]
    assert SECRET not in json.dumps(reply)
    assert {"own/job-1/job-1-0.png", "own/job-1/job-1-1.png"} <= set(s3.objects())
    kept = b"".join(s3.objects().values())
    assert SECRET.encode() not in kept
    assert ACCESS.encode() not in kept


def test_a_job_that_brings_a_bucket_on_a_private_host_is_refused_before_a_model_is_loaded(s3, tmp_path):
    engine = Engine(Settings(models_dir=tmp_path / "none"))
    with pytest.raises(InvalidRequest, match=r"s3Config\.endpointUrl: must be a host with public addresses"):
        engine.run(INPUT, Job("job-1", lambda event: None, delivery=Delivery(bucket_of_job(s3))))


def test_questions_without_pictures_are_answered_whatever_bucket_comes_along(tmp_path):
    reply = Engine(Settings(models_dir=tmp_path)).run(
        {"endpoint": "ping"}, Job("j", lambda event: None, delivery=Delivery({}))
    )
    assert reply == {"message": "pong"}


def test_a_bucket_that_does_not_exist_fails_the_job(s3, tmp_path):
    settings = Settings(models_dir=tmp_path, private_urls=EVERY_NETWORK)
    with pytest.raises(StorageFailed, match=r"could not be stored in the bucket: the store answered 404 NoSuchBucket$"):
        answered(settings, delivery=Delivery(bucket_of_job(s3, bucketName="no-such-bucket")))


@pytest.mark.parametrize("brings", [True, False])
def test_a_worker_that_delivers_the_webhook_itself_tells_addresses_that_can_be_read(s3, tmp_path, brings):
    own = {} if brings else s3.environment()
    allowed = {"FOOOCUS_MODELS_DIR": str(tmp_path), "FOOOCUS_ALLOW_PRIVATE_URLS": "on"}
    settings = settings_from_environment(own | allowed)
    hooks = Webhooks(guarded_post(Guard(settings.private_urls)), lambda: False)
    handler = Adapter(Engine(settings).run, settings, Taking(1, lambda: 0, signals=()), hooks).answer
    with receiver() as hook:
        given = INPUT | {"webhook_url": hook.url, "deliver_webhook": True, "image_number": 2}
        bucket = {"s3Config": bucket_of_job(s3)} if brings else {}
        reply = asyncio.run(handler({"id": "told", "input": given, **bucket}))
        asyncio.run(handler({"id": "failed", "input": given | {"base_model_name": "none.safetensors"}, **bucket}))
        told, failed = hook.wait_for(2)
    results = reply["job_result"]
    assert told == {"job_id": "told", "job_result": [{"url": r["url"], "seed": r["seed"]} for r in results]}
    assert [(seed_of(r["url"]), r["seed"]) for r in told["job_result"]] == [("7", "7"), ("8", "8")]
    assert not any("webhook" in warning for warning in reply["warnings"])
    assert failed == {"job_id": "failed", "job_result": []}
