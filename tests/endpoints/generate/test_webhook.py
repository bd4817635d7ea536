"""Whom a worker tells the end of a job, and the requests whose end it could not tell."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from fooocus_engine.endpoints.generate.webhook import wanted_webhook
from fooocus_engine.endpoints.table import ENDPOINTS
from fooocus_engine.engine import Engine
from fooocus_engine.errors import InvalidRequest
from fooocus_engine.jobs.job import Job
from fooocus_engine.settings import Settings

URL = "https://client.example/hook"
JOBS = [row.name for row in ENDPOINTS.values() if row.job_type]


def picture():
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    return Engine(Settings(models_dir=tmp_path_factory.mktemp("models"), device="cpu"))


def asked(engine, **given):
    """The job after the engine has refused its input, and the fields that the refusal names."""
    job = Job("j", lambda event: None)
    with pytest.raises(InvalidRequest) as refused:
        engine.run(given, job)
    return job, [problem.loc[1] for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"deliver_webhook": True, "webhook_url": URL}, URL),
        ({"deliver_webhook": "true", "webhook_url": URL, "sharpness": "wrong"}, URL),
        ({"deliver_webhook": False, "webhook_url": URL}, ""),
        ({"webhook_url": URL}, ""),
        ({"deliver_webhook": True}, ""),
        ({"deliver_webhook": True, "webhook_url": "ftp://client.example"}, ""),
        ({"deliver_webhook": "soon", "webhook_url": URL}, ""),
    ],
)
def test_the_address_is_told_that_a_request_names_with_the_flag(fields, url):
    assert wanted_webhook(fields) == url


@pytest.mark.parametrize("endpoint", JOBS)
def test_every_job_can_be_told_though_its_request_is_refused(engine, endpoint):
    job, _ = asked(engine, endpoint=endpoint, sharpness=31, webhook_url=URL, deliver_webhook=True)
    assert job.webhook_url == URL


@pytest.mark.parametrize("endpoint", [row.name for row in ENDPOINTS.values() if not row.job_type])
def test_what_is_no_job_is_told_to_nobody(engine, endpoint):
    job = Job("j", lambda event: None)
    try:
        engine.run({"endpoint": endpoint, "webhook_url": URL, "deliver_webhook": True}, job)
    except InvalidRequest:
        assert endpoint in ("describe-image", "generate-mask", "read-metadata")
    assert job.webhook_url == ""


@pytest.mark.parametrize("endpoint", JOBS)
@pytest.mark.parametrize(
    ("fields", "named"), [({"webhook_url": URL}, ["deliver_webhook"]), ({}, ["webhook_url", "deliver_webhook"])]
)
def test_without_a_bucket_or_an_address_no_work_begins(engine, endpoint, fields, named):
    given = {
        "endpoint": endpoint,
        "preset": "starter",
        "prompt": "a red circle",
        "input_image": picture(),
        "enhance_input_image": picture(),
        "image_prompts": [{"cn_img": picture()}],
        "deliver_webhook": True,
    }
    assert asked(engine, **given, **fields)[1] == named
