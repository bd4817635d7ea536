"""The generation endpoints over HTTP: three forms of answers, and what becomes of errors (api.md §4)."""

from __future__ import annotations

import base64
import io
import json
import threading

import pytest
from PIL import Image

from fooocus_engine.output.encode import read_metadata
from tests.shim.live import BRISK, HASTY, T2I, live
from tests.shim.stub_platform import KEY, StubPlatform

FULL = {"base64": None, "url": None, "seed": "", "finish_reason": "QUEUE_IS_FULL"}
PNG = {"Accept": "image/png"}


@pytest.fixture
def door(tmp_path):
    with live(tmp_path) as running:
        yield running


def test_a_synchronous_request_is_answered_with_one_result_for_each_picture(door):
    reply = door.post(T2I, {"prompt": "two boats", "image_number": 2, "image_seed": 5})
    assert reply.status_code == 200
    first, second = reply.json()
    assert list(first) == ["base64", "url", "seed", "finish_reason"]
    assert (first["seed"], second["seed"]) == ("5", "6")
    assert first["base64"] is None
    picture = door.client.get(first["url"])
    assert picture.headers["content-type"] == "image/png"
    assert read_metadata(picture.content) is not None


def test_pictures_lie_under_the_job_or_the_wanted_name(door):
    (one,) = door.post(T2I, {}).json()
    (two,) = door.post(T2I, {"save_name": "harbour", "image_seed": 1}).json()
    (three,) = door.post(T2I, {"save_name": "harbour", "image_seed": 2}).json()
    jobs = list(door.stub.jobs)
    assert one["url"].endswith(f"/{jobs[0]}-0.png")
    assert two["url"].endswith("/harbour-0.png")
    assert three["url"].endswith(f"/harbour_{jobs[2][:8]}-0.png")
    assert door.client.get(two["url"]).content != door.client.get(three["url"]).content


@pytest.mark.parametrize(("extension", "media"), [("png", "png"), ("jpg", "jpeg"), ("jpeg", "jpeg"), ("webp", "webp")])
def test_base64_is_a_data_url_of_the_stored_file(door, extension, media):
    (result,) = door.post(T2I, {"require_base64": True, "save_extension": extension}).json()
    head, _, body = result["base64"].partition(",")
    assert head == f"data:image/{media};base64"
    assert base64.b64decode(body) == door.client.get(result["url"]).content


def test_old_versions_had_bare_base64(tmp_path):
    with live(tmp_path, bare_base64=True) as door:
        (result,) = door.post(T2I, {"require_base64": True}).json()
    assert base64.b64decode(result["base64"], validate=True).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("headers", "query", "form"),
    [
        (PNG, {}, "PNG"),
        ({}, {"accept": "image/webp"}, "WEBP"),
        ({}, {"accept": "jpg"}, "JPEG"),
        (PNG, {"accept": "jpeg"}, "JPEG"),
        ({"Accept": "image/*"}, {}, "WEBP"),
    ],
)
def test_the_bytes_of_one_picture_can_be_asked_for(door, headers, query, form):
    body = {"prompt": "boat", "image_number": 4, "image_seed": 7, "save_extension": "webp"}
    reply = door.post(T2I, body, headers, **query)
    with Image.open(io.BytesIO(reply.content)) as image:
        assert image.format == form
    assert reply.headers["content-type"] == f"image/{form.lower()}"
    assert read_metadata(reply.content).text == json.dumps({"prompt": "boat"})
    assert reply.headers["x-seed"] == "7"
    assert reply.headers["x-job-id"] in door.stub.jobs
    assert door.client.get(reply.headers["x-file-url"]).headers["content-type"] == "image/webp"
    assert door.stub.inputs()[-1]["image_number"] == 1


def test_an_asynchronous_request_is_answered_at_once_whatever_accept_says(tmp_path):
    with live(tmp_path, StubPlatform(held=True)) as door:
        reply = door.post(T2I, {"async_process": True}, PNG)
        assert reply.json() == {
            "job_id": next(iter(door.stub.jobs)), "job_type": "Text to Image", "job_stage": "WAITING",
            "job_progress": 0, "job_status": None, "job_step_preview": None, "job_result": None,
        }  # fmt: skip


def test_a_failed_job_is_told_in_each_form(door):
    door.stub.worker = lambda job_id, given: {
        "error": '{"status": 500, "type": "out_of_memory", "detail": "no\\nroom"}'
    }
    reply = door.post(T2I, {})
    job_id = list(door.stub.jobs)[-1]
    assert (reply.status_code, reply.json()) == (
        500, {"detail": "no room", "job_id": job_id, "job_result": [{**FULL, "finish_reason": "ERROR"}]},
    )  # fmt: skip
    raw = door.post(T2I, {}, PNG)
    assert (raw.status_code, raw.text, raw.headers["x-error"]) == (500, "ERROR", "no room")
    job = door.ended(door.submit()["job_id"])
    assert (job["job_stage"], job["job_status"], job["job_result"]) == ("ERROR", "Error: no room", None)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        ('{"error_type": "<class \'ValueError\'>", "error_message": "bad", "error_traceback": "/srv/x.py"}', "bad"),
        ("plain words", "plain words"),
        ("job timed out after 1 retries", "job timed out after 1 retries"),
    ],
)
def test_a_crash_is_told_without_its_traceback(door, error, cause):
    door.stub.worker = lambda job_id, given: {"error": error}
    reply = door.post(T2I, {})
    assert (reply.status_code, reply.json()["detail"]) == (500, cause)
    assert "/srv" not in reply.text


@pytest.mark.parametrize(
    "output", [{}, {"job_result": []}, {"job_result": [{"seed": "1"}]}, {"job_result": [{"base64": "??"}]}, "text"]
)
def test_an_output_of_another_shape_is_a_failure(door, output):
    door.stub.worker = lambda job_id, given: {"error": None, **output} if isinstance(output, dict) else {"x": output}
    assert door.post(T2I, {}).status_code == 500


def test_what_a_deployment_lacks_is_501(door):
    lacking = '{"status": 501, "type": "model_unavailable", "detail": "sam is not installed"}'
    door.stub.worker = lambda job_id, given: {"error": lacking}
    reply = door.post(T2I, {})
    assert (reply.status_code, reply.json()) == (501, {"detail": "sam is not installed"})


def test_a_full_queue_is_told_in_each_form(tmp_path):
    with live(tmp_path, StubPlatform(held=True), queue_size=1) as door:
        door.submit()
        later = door.post(T2I, {"async_process": True})
        listed = door.post(T2I, {})
        raw = door.post(T2I, {}, PNG)
    assert later.json() == {
        "job_id": "", "job_type": "Text to Image", "job_stage": "ERROR", "job_progress": 0, "job_status": None,
        "job_step_preview": None, "job_result": [FULL],
    }  # fmt: skip
    assert (listed.status_code, listed.json()) == (200, [FULL])
    assert (raw.status_code, raw.text) == (409, "QUEUE_IS_FULL")
    assert {reply.headers["retry-after"] for reply in (later, listed, raw)} == {"5"}


def test_a_canceled_job_is_told_in_each_form(tmp_path):
    with live(tmp_path, StubPlatform(held=True)) as door:
        replies = {}

        def ask(name, headers):
            replies[name] = door.post(T2I, {}, headers)

        waiting = [threading.Thread(target=ask, args=given) for given in (("list", {}), ("raw", PNG))]
        for thread in waiting:
            thread.start()
        door.stub.wait_for("status", 4)
        later = door.submit()["job_id"]
        assert door.post("/v1/generation/stop", all="true").json() == {"msg": "success"}
        for thread in waiting:
            thread.join()
        canceled = {**FULL, "finish_reason": "USER_CANCEL"}
        assert (replies["list"].status_code, replies["list"].json()) == (200, [canceled])
        assert (replies["raw"].status_code, replies["raw"].text) == (400, "USER_CANCEL")
        job = door.ended(later)
    assert (job["job_stage"], job["job_status"], job["job_result"]) == ("ERROR", "Cancelled", [canceled])


def test_who_waits_too_long_is_told_which_job_goes_on(tmp_path):
    with live(tmp_path, StubPlatform(held=True), sync_timeout_s=0) as door:
        reply = door.post(T2I, {})
        (job_id,) = door.stub.jobs
        assert (reply.status_code, reply.json()["job_id"]) == (504, job_id)
        door.stub.release()
        assert door.ended(job_id)["job_stage"] == "SUCCESS"


@pytest.mark.parametrize(
    ("faults", "status", "tries"),
    [
        ([401], 502, 1),
        ([403], 502, 1),
        ([404], 502, 1),
        ([400], 502, 1),
        ([302], 502, 1),
        (["garbage"], 502, 1),
        ([413], 413, 1),
        ([500, 500, 500], 503, 3),
        ([500, 502], 200, 3),
        (["hang"], 503, 1),
        (["drop"], 503, 1),
    ],
)
def test_a_platform_that_takes_no_job_is_told(tmp_path, faults, status, tries):
    with live(tmp_path, tempo=HASTY if faults == ["hang"] else BRISK) as door:
        door.stub.faults["run"].extend(faults)
        reply = door.post(T2I, {})
        assert reply.status_code == status
        assert door.stub.count("run") == tries
        assert KEY not in reply.text
        if status == 503:
            assert reply.headers["retry-after"] == "5"
        assert door.get("/v1/generation/job-queue").json()["running_size"] == 0


def test_a_busy_platform_is_a_full_queue(door):
    door.stub.faults["run"].append(429)
    assert door.post(T2I, {}).json() == [FULL]


@pytest.mark.parametrize("fault", [500, 401, 429, "hang", "drop", "garbage"])
def test_a_platform_that_tells_nothing_for_a_while_loses_no_job(tmp_path, fault):
    with live(tmp_path, tempo=HASTY if fault == "hang" else BRISK) as door:
        door.stub.faults["status"].append(fault)
        assert door.post(T2I, {}).status_code == 200


def test_a_job_that_the_platform_forgot_has_expired(tmp_path):
    with live(tmp_path, StubPlatform(held=True)) as door:
        job_id = door.submit()["job_id"]
        del door.stub.jobs[job_id]
        job = door.ended(job_id)
    assert (job["job_stage"], job["job_status"]) == ("ERROR", "Error: result expired")


@pytest.mark.parametrize(
    ("state", "status"), [("TIMED_OUT", "Error: timed out"), ("LOST", "Error: unknown state LOST")]
)
def test_other_ends_are_errors(tmp_path, state, status):
    with live(tmp_path, StubPlatform(held=True)) as door:
        job_id = door.submit()["job_id"]
        door.stub.jobs[job_id].state = state
        assert door.ended(job_id)["job_status"] == status


def test_runsync_is_one_call_with_the_same_answer(tmp_path):
    with live(tmp_path, sync_mode="runsync") as door:
        (result,) = door.post(T2I, {"image_seed": 3}).json()
        assert result["seed"] == "3"
        assert [name for name, _ in door.stub.calls] == ["runsync"]
        assert door.get("/v1/generation/job-queue").json()["last_job_id"].startswith("sync-")


def test_runsync_that_is_not_done_in_time_is_followed(tmp_path):
    with live(tmp_path, StubPlatform(held=True), sync_mode="runsync", sync_timeout_s=60) as door:
        asking = threading.Thread(target=lambda: replies.append(door.post(T2I, {})))
        replies: list = []
        asking.start()
        door.stub.wait_for("status")
        door.stub.release()
        asking.join()
    assert replies[0].status_code == 200


def test_an_unexpected_error_tells_nothing(door):
    def broken(order):
        raise ZeroDivisionError("/secret")

    door.app.state.door.desk.submit = broken
    reply = door.post(T2I, {})
    assert (reply.status_code, reply.json()) == (500, {"detail": "Internal Server Error"})
