"""Every row of api.md §1.1 and every path of §1.2 is served, in the words of the specification."""

from __future__ import annotations

import pytest

from tests.shim.live import live
from tests.shim.replay import NO_ENGINE

JSON, FORM, NONE = "json", "form", "none"
GENERATIONS = [
    ("/v1/generation/text-to-image", JSON, "Text to Image"),
    ("/v2/generation/text-to-image-with-ip", JSON, "Text to Image"),
    ("/v1/generation/image-upscale-vary", FORM, "Image Upscale or Variation"),
    ("/v2/generation/image-upscale-vary", JSON, "Image Upscale or Variation"),
    ("/v1/generation/image-inpaint-outpaint", FORM, "Image Inpaint or Outpaint"),
    ("/v2/generation/image-inpaint-outpaint", JSON, "Image Inpaint or Outpaint"),
    ("/v1/generation/image-inpait-outpaint", FORM, "Image Inpaint or Outpaint"),
    ("/v2/generation/image-inpait-outpaint", JSON, "Image Inpaint or Outpaint"),
    ("/v1/generation/image-prompt", FORM, "Image Prompt"),
    ("/v2/generation/image-prompt", JSON, "Image Prompt"),
    ("/v1/generation/image-enhance", FORM, "Image Enhancement"),
    ("/v2/generation/image-enhance", JSON, "Image Enhancement"),
]
TOOLS = [
    ("/v1/tools/describe-image", FORM),
    ("/v1/tools/generate_mask", JSON),
    ("/v1/tools/generate-mask", JSON),
    ("/v1/tools/read-metadata", FORM),
]
MODELS = {"model_filenames", "lora_filenames"}
QUEUE = {"running_size", "finished_size", "last_job_id"}
OTHERS = [
    ("GET", "/v1/generation/query-job", 422, {"detail", "body"}),
    ("GET", "/v1/generation/job-queue", 200, QUEUE),
    ("GET", "/v1/engines/job-queue", 200, QUEUE),
    ("GET", "/v1/generation/job-history", 200, {"queue", "history"}),
    ("POST", "/v1/generation/stop", 200, {"msg"}),
    ("GET", "/v1/engines/all-models", 200, MODELS),
    ("POST", "/v1/engines/refresh-models", 200, MODELS),
    ("GET", "/v1/engines/styles", 200, None),
    ("GET", "/v1/engines/clean_vram", 200, {"message"}),
    ("POST", "/v1/engines/clean_vram", 200, {"message"}),
    ("GET", "/v1/engines/clean-vram", 200, {"message"}),
    ("POST", "/v1/engines/clean-vram", 200, {"message"}),
    ("GET", "/v1/generation/job-events", 422, {"detail", "body"}),
    ("GET", "/ping", 200, None),
    ("GET", "/health", 200, {"status", "open_jobs", "platform"}),
    ("GET", "/openapi.json", 200, {"openapi", "info", "paths"}),
]
PAGES = ["/", "/docs", "/redoc"]


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with live(tmp_path_factory.mktemp("door")) as running:
        yield running


@pytest.mark.parametrize(("path", "body", "job_type"), GENERATIONS)
def test_a_generation_is_a_job_of_its_type(door, path, body, job_type):
    fields = {
        "async_process": "true", "uov_method": "Upscale (2x)", "outpaint_selections": "Left",
        "input_image": "aGVsbG8=", "enhance_input_image": "aGVsbG8=",
    }  # fmt: skip
    sent = {"json": fields} if body == JSON else {"data": fields}
    reply = door.client.post(path, **sent)
    if path in NO_ENGINE:
        assert (reply.status_code, NO_ENGINE[path] in reply.json()["detail"]) == (501, True)
        return
    assert (reply.status_code, reply.json()["job_type"]) == (200, job_type)
    refused = door.client.post(path, data=fields)
    assert refused.status_code == (422 if body == JSON else 200)


@pytest.mark.parametrize(("path", "body"), TOOLS)
def test_a_tool_answers_or_names_what_is_missing(door, path, body):
    reply = door.client.post(path, **({"json": {}} if body == JSON else {"data": {"x": "y"}}))
    if path in NO_ENGINE:
        assert (reply.status_code, NO_ENGINE[path] in reply.json()["detail"]) == (501, True)
        return
    assert [problem["loc"] for problem in reply.json()["detail"]] == [["body", "image"]]


@pytest.mark.parametrize(("method", "path", "status", "keys"), OTHERS)
def test_a_question_is_answered_in_the_documented_keys(door, method, path, status, keys):
    reply = door.client.request(method, path)
    assert reply.status_code == status
    assert keys is None or set(reply.json()) == keys


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_html(door, path):
    reply = door.client.get(path)
    assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (200, "text/html")


def test_no_route_is_left_out_of_the_document(door):
    described = door.get("/openapi.json").json()["paths"]
    routes = {("POST", row[0]) for row in GENERATIONS + TOOLS} | {row[:2] for row in OTHERS[:-1]}
    assert routes <= {(method.upper(), path) for path, methods in described.items() for method in methods}
