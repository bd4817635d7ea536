"""A request whose pictures are spread over several platform jobs: one job for the client, the same pictures (§6.9)."""

from __future__ import annotations

import pytest

from tests.shim.live import T2I, live
from tests.shim.stub_platform import StubPlatform
from tests.shim.stub_worker import seed_color

STOP = "/v1/generation/stop"


def pictures(tmp_path, **fields):
    """Names without the job, seeds and colors of the pictures of one request, spread over three jobs or not at all."""
    found = []
    for spread in (1, 3):
        with live(tmp_path / str(spread), fan_out=spread) as door:
            reply = door.post(T2I, {"image_number": 5, **fields})
            results = reply.json()
            colors = [seed_color(door.client.get(result["url"]).content) for result in results]
            names = [result["url"].rpartition("-")[2] for result in results]
            found.append((names, [result["seed"] for result in results], colors))
            assert len(door.stub.jobs) == spread
    return found


def test_the_pictures_are_those_of_one_job(tmp_path):
    alone, spread = pictures(tmp_path, image_seed=100, save_extension="webp")
    assert spread == alone
    assert alone[0] == [f"{n}.webp" for n in range(5)]


def test_the_parts_know_their_place_in_the_whole(tmp_path):
    with live(tmp_path, fan_out=3) as door:
        door.post(T2I, {"image_number": 5})
        parts = door.stub.inputs()
    assert [(p["image_index_offset"], p["image_number"], p["image_total"]) for p in parts] == [
        (0, 1, 5), (1, 2, 5), (3, 2, 5),
    ]  # fmt: skip
    assert len({p["image_seed"] for p in parts}) == 1
    assert parts[0]["image_seed"] >= 0


@pytest.mark.parametrize("number", [1, 2])
def test_there_are_no_more_parts_than_pictures(tmp_path, number):
    with live(tmp_path, fan_out=4) as door:
        assert len(door.post(T2I, {"image_number": number}).json()) == number
        assert len(door.stub.jobs) == number


PICTURE = {"input_image": "cGljdHVyZQ=="}
STEERED = {"image_prompts": [{"cn_img": "cGljdHVyZQ=="}]}
SHOWS_CONTROLS = {"advanced_params": {"debugging_cn_preprocessor": True}}
SHOWS_INPAINT = {"advanced_params": {"debugging_inpaint_preprocessor": True}}


@pytest.mark.parametrize(
    ("endpoint", "fields", "jobs"),
    [
        ("image-upscale-vary", PICTURE | {"uov_method": "Vary (Subtle)"}, 3),
        ("image-upscale-vary", PICTURE | {"uov_method": "Upscale (2x)"}, 3),
        ("image-upscale-vary", PICTURE | {"uov_method": "Upscale (Fast 2x)"}, 1),
        ("image-upscale-vary", PICTURE | SHOWS_CONTROLS | {"uov_method": "Vary (Subtle)"}, 3),
        ("image-upscale-vary", PICTURE | STEERED | SHOWS_CONTROLS | {"uov_method": "Vary (Subtle)"}, 1),
        ("image-inpaint-outpaint", PICTURE, 3),
        ("image-inpaint-outpaint", PICTURE | SHOWS_INPAINT, 1),
        ("image-inpaint-outpaint", PICTURE | STEERED | SHOWS_CONTROLS, 1),
        ("image-prompt", STEERED, 3),
        ("image-prompt", STEERED | SHOWS_INPAINT, 3),
        ("image-prompt", STEERED | SHOWS_CONTROLS, 1),
        ("text-to-image-with-ip", STEERED | SHOWS_CONTROLS, 1),
        ("text-to-image-with-ip", SHOWS_CONTROLS, 3),
    ],
)
def test_what_gives_the_same_pictures_however_many_are_wanted_is_one_job(tmp_path, endpoint, fields, jobs):
    with live(tmp_path, fan_out=3) as door:
        reply = door.post(f"/v2/generation/{endpoint}", {"image_number": 3, "async_process": True, **fields})
        assert reply.status_code == 200
        assert len(door.stub.jobs) == jobs


@pytest.fixture
def door(tmp_path):
    with live(tmp_path, StubPlatform(held=True), fan_out=2) as running:
        yield running


def test_the_client_sees_one_job_under_one_name(door):
    job = door.submit(image_number=2)
    assert job["job_id"] not in door.stub.jobs
    assert door.get("/v1/generation/job-queue").json() == {
        "running_size": 1, "finished_size": 0, "last_job_id": job["job_id"],
    }  # fmt: skip
    door.stub.release()
    urls = [result["url"] for result in door.ended(job["job_id"])["job_result"]]
    assert [url.rpartition("/")[2] for url in urls] == [f"{job['job_id']}-{n}.png" for n in range(2)]


def test_progress_is_the_mean_of_the_parts(door):
    job_id = door.submit(image_number=2)["job_id"]
    first, second = door.stub.jobs.values()
    first.state, first.output = "IN_PROGRESS", {"job_progress": 60, "job_status": "Step", "n": 9}
    second.state, second.output = "IN_PROGRESS", {"job_progress": 30, "job_status": "Step", "n": 1}
    door.stub.wait_for("status", door.stub.count("status") + 6)
    assert door.get("/v1/generation/query-job", job_id=job_id).json()["job_progress"] == 45
    door.stub.finish(first)
    door.stub.wait_for("status", door.stub.count("status") + 6)
    assert door.get("/v1/generation/query-job", job_id=job_id).json()["job_progress"] == 65


def test_a_part_that_fails_ends_the_job_and_the_other_parts(door):
    job_id = door.submit(image_number=2)["job_id"]
    first, second = door.stub.jobs.values()
    first.state, first.error = "FAILED", "no room"
    job = door.ended(job_id)
    door.stub.wait_for("cancel")
    assert (job["job_stage"], job["job_status"]) == ("ERROR", "Error: no room")
    assert second.state == "CANCELLED"


def test_stop_gives_up_every_part(door):
    job_id = door.submit(image_number=2)["job_id"]
    door.post(STOP, job_id=job_id)
    assert door.ended(job_id)["job_status"] == "Cancelled"
    assert [job.state for job in door.stub.jobs.values()] == ["CANCELLED"] * 2


def test_a_platform_that_takes_only_some_of_the_parts_gets_none(door):
    door.stub.faults["run"].extend([None, 429])
    reply = door.post(T2I, {"image_number": 2, "async_process": True})
    assert reply.json()["job_result"][0]["finish_reason"] == "QUEUE_IS_FULL"
    assert [job.state for job in door.stub.jobs.values()] == ["CANCELLED"]


def test_parts_go_on_after_a_restart(tmp_path):
    stub = StubPlatform(held=True)
    with live(tmp_path, stub, fan_out=2, persistent=True) as door:
        job_id = door.submit(image_number=2, image_seed=8)["job_id"]
        stub.finish(next(iter(stub.jobs.values())))
        door.stub.wait_for("status", door.stub.count("status") + 6)
    with live(tmp_path, stub, fan_out=2, persistent=True) as door:
        stub.release()
        assert [result["seed"] for result in door.ended(job_id)["job_result"]] == ["8", "9"]
