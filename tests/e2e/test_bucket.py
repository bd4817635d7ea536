"""Pictures in a bucket, from the handler's door to a reader of the address: the server's bucket, and a job's own."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any

import pytest

from fooocus_engine.bucket import UploadSettings
from fooocus_engine.engine import Engine
from fooocus_engine.output.encode import read_metadata
from fooocus_engine.settings import Settings, settings_from_environment
from fooocus_engine.worker.adapter import make_handler
from tests.s3_server import ACCESS, NAME, SECRET, s3_server

INPUT = {
    "endpoint": "text-to-image",
    "preset": "starter",
    "prompt": "a cat",
    "image_seed": 7,
    "image_number": 2,
    "aspect_ratios_selection": "64*64",
    "advanced_params": {"overwrite_step": 2},
}


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def answered(settings: Settings, **job: Any) -> dict[str, Any]:
    """The reply of a worker with these settings."""
    handler = make_handler(Engine(settings).run, settings)
    return asyncio.run(handler({"id": "job-1", "input": INPUT, **job}))


def bucket_of_job(server):
    return {"endpointUrl": server.address, "accessId": ACCESS, "accessSecret": SECRET, "bucketName": NAME}


def assert_addresses_lead_to_the_pictures(reply, key):
    assert [entry["base64"] for entry in reply["job_result"]] == [None, None]
    for number, entry in enumerate(reply["job_result"]):
        with urllib.request.urlopen(entry["url"], timeout=60) as answer:
            picture = answer.read()
        assert f"/{NAME}/{key}/{entry['file_name']}?" in entry["url"]
        assert json.loads(read_metadata(picture).text)["seed"] == str(7 + number)


def test_a_job_stores_its_pictures_in_the_servers_bucket_and_answers_with_their_addresses(s3, tmp_path):
    settings = settings_from_environment(s3.environment() | {"FOOOCUS_MODELS_DIR": str(tmp_path)})
    reply = answered(settings)
    assert_addresses_lead_to_the_pictures(reply, "job-1")
    before = s3.objects()
    answered(settings)  # the platform has dispatched it again
    assert s3.objects() == before
    assert SECRET not in json.dumps(reply)


def test_a_job_that_brings_a_bucket_stores_its_pictures_there(s3, tmp_path):
    settings = Settings(models_dir=tmp_path, allow_private_urls=True, uploads=UploadSettings(prefix="own"))
    reply = answered(settings, s3Config=bucket_of_job(s3))
    assert_addresses_lead_to_the_pictures(reply, "own/job-1")
    assert SECRET not in json.dumps(reply)
    assert all(SECRET.encode() not in picture for picture in s3.objects().values())


def test_a_job_that_brings_a_bucket_on_a_private_host_is_refused_before_any_model_is_loaded(s3, tmp_path):
    error = json.loads(answered(Settings(models_dir=tmp_path), s3Config=bucket_of_job(s3))["error"])
    assert (error["status"], error["type"]) == (422, "validation_error")
    assert error["detail"][0]["loc"] == ["body", "s3Config", "endpointUrl"]


def test_a_bucket_that_does_not_exist_fails_the_job_and_no_path_is_told(s3, tmp_path):
    config = bucket_of_job(s3) | {"bucketName": "no-such-bucket"}
    reply = answered(Settings(models_dir=tmp_path, allow_private_urls=True), s3Config=config)
    error = json.loads(reply["error"])
    assert (error["status"], error["type"]) == (500, "storage_error")
    assert error["detail"].endswith("the store answered 404 NoSuchBucket")
