"""Questions about jobs over HTTP: query-job, events, queue, history, stop (api.md §4.3–§4.6)."""

from __future__ import annotations

import json
import re

import pytest

from tests.shim.live import T2I, live
from tests.shim.stub_platform import StubJob, StubPlatform

QUERY = "/v1/generation/query-job"
QUEUE = "/v1/generation/job-queue"
HISTORY = "/v1/generation/job-history"
STOP = "/v1/generation/stop"
EVENTS = "/v1/generation/job-events"
PREVIEW = "cHJldmlldw=="
ITEM = ["job_id", "in_queue_mills", "start_mills", "finish_mills", "is_finished"]


@pytest.fixture
def door(tmp_path):
    with live(tmp_path, StubPlatform(held=True)) as running:
        yield running


def working(door, job_id, percent, text="Step 1/30 in the 1-th Sampling", n=None, preview=None):
    """A worker reports; the job object once the door has taken that."""
    job = door.stub.jobs[job_id]
    job.state = "IN_PROGRESS"
    job.output = {"job_progress": percent, "job_status": text, "job_step_preview": preview, "n": n}
    seen = door.stub.count("status")
    door.stub.wait_for("status", seen + 3)
    return door.get(QUERY, job_id=job_id).json()


def test_a_running_job_tells_how_far_it_is(door):
    job_id = door.submit()["job_id"]
    job = working(door, job_id, 40)
    assert job == {
        "job_id": job_id, "job_type": "Text to Image", "job_stage": "RUNNING", "job_progress": 40,
        "job_status": "Step 1/30 in the 1-th Sampling", "job_step_preview": None, "job_result": None,
    }  # fmt: skip


def test_a_job_that_has_not_reported_loads_models(door):
    job_id = door.submit()["job_id"]
    door.stub.jobs[job_id].state = "IN_PROGRESS"
    door.stub.wait_for("status", door.stub.count("status") + 3)
    job = door.get(QUERY, job_id=job_id).json()
    assert (job["job_stage"], job["job_progress"], job["job_status"]) == ("RUNNING", 1, "Loading models ...")


def test_progress_never_falls_and_stays_below_the_end(door):
    job_id = door.submit()["job_id"]
    seen = [working(door, job_id, percent)["job_progress"] for percent in (30, 20, 45.7, 100, -5)]
    assert seen == [30, 30, 45, 99, 99]


def test_an_update_that_was_overtaken_is_dropped(door):
    job_id = door.submit()["job_id"]
    assert working(door, job_id, 50, "five", n=5)["job_status"] == "five"
    assert working(door, job_id, 60, "four", n=4)["job_status"] == "five"


def test_the_last_preview_is_shown_to_those_who_ask_while_the_job_is_open(door):
    job_id = door.submit()["job_id"]
    working(door, job_id, 20, preview=PREVIEW, n=1)
    assert working(door, job_id, 30, n=2)["job_step_preview"] is None
    for name in ("require_step_preview", "require_step_preivew"):
        assert door.get(QUERY, job_id=job_id, **{name: "true"}).json()["job_step_preview"] == PREVIEW
    door.stub.release()
    assert door.ended(job_id, require_step_preview="true")["job_step_preview"] is None


def test_a_long_poll_returns_with_the_end(door):
    job_id = door.submit()["job_id"]
    assert door.get(QUERY, job_id=job_id, wait=0.05).json()["job_stage"] == "WAITING"
    door.stub.release()
    job = door.get(QUERY, job_id=job_id, wait=60).json()
    assert (job["job_stage"], job["job_progress"], job["job_status"]) == ("SUCCESS", 100, "Finished")
    assert [result["finish_reason"] for result in job["job_result"]] == ["SUCCESS"]


def test_an_end_is_told_without_asking_the_platform_again(door):
    door.stub.release()
    job_id = door.submit()["job_id"]
    first = door.ended(job_id)
    asked = door.stub.count("status")
    assert [door.get(QUERY, job_id=job_id).json() for _ in range(3)] == [first] * 3
    assert door.stub.count("status") == asked


@pytest.mark.parametrize("job_id", ["nobody", "../../etc", "a" * 500, "", "ä"])
def test_an_unknown_job_is_not_found(door, job_id):
    reply = door.get(QUERY, job_id=job_id)
    if not job_id:
        assert reply.status_code == 422
        return
    assert reply.status_code == 404
    assert reply.json() == {
        "job_id": "", "job_type": "Not Found", "job_stage": "ERROR", "job_progress": 0,
        "job_status": "Job not found", "job_step_preview": None, "job_result": None,
    }  # fmt: skip


def test_a_job_that_somebody_else_submitted_is_taken_over(door):
    job = StubJob("their-job-u1", {"input": {"endpoint": "text-to-image", "prompt": "theirs"}})
    door.stub.jobs[job.id] = job
    assert door.get(QUERY, job_id=job.id).json()["job_stage"] == "WAITING"
    door.stub.finish(job)
    assert door.ended(job.id)["job_result"][0]["url"].endswith("their-job-u1-0.png")
    assert door.get(QUEUE).json()["finished_size"] == 1


def test_the_queue_is_counted(door):
    assert door.get(QUEUE).json() == {"running_size": 0, "finished_size": 0, "last_job_id": None}
    ids = [door.submit()["job_id"] for _ in range(3)]
    assert door.get("/v1/engines/job-queue").json() == {"running_size": 3, "finished_size": 0, "last_job_id": ids[-1]}
    door.stub.release()
    for job_id in ids:
        door.ended(job_id)
    assert door.get(QUEUE).json() == {"running_size": 0, "finished_size": 3, "last_job_id": ids[-1]}


def test_the_history_tells_open_jobs_and_ended_ones_in_order(door):
    first, second = (door.submit()["job_id"] for _ in range(2))
    door.stub.finish(door.stub.jobs[second])
    door.ended(second)
    found = door.get(HISTORY).json()
    assert [list(item) for part in found.values() for item in part] == [ITEM, ITEM]
    (waiting,), (ended,) = found["queue"], found["history"]
    assert (waiting["job_id"], waiting["is_finished"], waiting["finish_mills"]) == (first, False, 0)
    assert (ended["job_id"], ended["is_finished"]) == (second, True)
    assert ended["start_mills"] - ended["in_queue_mills"] == 40
    assert ended["finish_mills"] - ended["start_mills"] == 250
    only = door.get(HISTORY, job_id=first).json()
    assert ([item["job_id"] for item in only["queue"]], only["history"]) == ([first], [])


def ended_jobs(door, count):
    door.stub.release()
    ids = [door.submit(image_seed=number)["job_id"] for number in range(count)]
    for job_id in ids:
        door.ended(job_id)
    return ids


def test_the_history_is_paged_when_pages_are_asked_for(door):
    ended_jobs(door, 5)
    everything = [item["job_id"] for item in door.get(HISTORY).json()["history"]]
    pages = [[item["job_id"] for item in door.get(HISTORY, page=n, page_size=2).json()["history"]] for n in range(4)]
    assert pages == [everything[0:2], everything[2:4], everything[4:], []]
    assert [item["job_id"] for item in door.get(HISTORY, page=0).json()["history"]] == everything


def test_the_long_history_comes_with_persistence(tmp_path):
    with live(tmp_path, persistent=True) as door:
        sent = {"prompt": "a cat", "image_seed": -1, "image_number": 2, "loras": [["x.safetensors", 0.5]]}
        results = door.post(T2I, sent).json()
        (item,) = door.get(HISTORY).json()["history"]
        (job_id,) = door.stub.jobs
    assert list(item) == ["params", "task_info"]
    task = item["task_info"]
    assert list(task) == [
        "task_id", "task_type", "task_in_queue_mills", "task_start_mills", "task_finish_mills", "result_url",
        "finish_reason", "date_time",
    ]  # fmt: skip
    assert (task["task_id"], task["task_type"], task["finish_reason"]) == (job_id, "Text to Image", "SUCCESS")
    assert task["result_url"] == ",".join(result["url"] for result in results)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", task["date_time"])
    params = item["params"]
    assert params["image_seed"] == int(results[0]["seed"])
    assert params["loras"] == [[True, "x.safetensors", 0.5]]
    assert params["advanced_params"]["sampler_name"] == "dpmpp_2m_sde_gpu"
    assert (params["input_image"], params["input_mask"], params["image_prompts"]) == (None, None, [])
    assert set(params) == {
        "prompt", "negative_prompt", "style_selections", "performance_selection", "aspect_ratios_selection",
        "base_model_name", "refiner_model_name", "refiner_switch", "loras", "image_number", "image_seed", "sharpness",
        "guidance_scale", "advanced_params", "input_image", "input_mask", "image_prompts", "inpaint_additional_prompt",
        "outpaint_selections", "outpaint_distance_left", "outpaint_distance_right", "outpaint_distance_top",
        "outpaint_distance_bottom", "uov_method", "upscale_value", "webhook_url", "require_base64", "async_process",
    }  # fmt: skip


def test_the_long_history_tells_the_newest_first_and_failures_without_addresses(tmp_path):
    with live(tmp_path, persistent=True) as door:
        door.post(T2I, {"prompt": "first"})
        door.stub.worker = lambda job_id, given: {"error": "broken"}
        door.post(T2I, {"prompt": "second"})
        newest, oldest = door.get(HISTORY).json()["history"]
    assert (newest["params"]["prompt"], oldest["params"]["prompt"]) == ("second", "first")
    assert (newest["task_info"]["finish_reason"], newest["task_info"]["result_url"]) == ("ERROR", "")


@pytest.mark.parametrize("persistent", [False, True])
def test_a_deleted_job_is_gone_with_its_pictures_and_stays_so(tmp_path, persistent):
    with live(tmp_path, persistent=persistent) as door:
        (result,) = door.post(T2I, {}).json()
        (job_id,) = door.stub.jobs
        gone = door.get(HISTORY, job_id=job_id, delete="true")
        assert (gone.status_code, gone.json()) == (200, {"message": "Deleted"})
        assert door.client.get(result["url"]).status_code == 404
        assert not list((tmp_path / "files").iterdir())
        assert door.get(QUERY, job_id=job_id).status_code == 404
        assert door.get(HISTORY).json() == {"queue": [], "history": []}
        assert door.get(HISTORY, job_id=job_id, delete="true").json() == {"message": "Not found"}


def test_an_open_job_cannot_be_deleted(door):
    job_id = door.submit()["job_id"]
    reply = door.get(HISTORY, job_id=job_id, delete="true")
    assert (reply.status_code, reply.json()) == (409, {"detail": "Job is not finished"})


def test_only_so_many_ended_jobs_are_kept(tmp_path):
    with live(tmp_path, queue_history=2) as door:
        urls = [door.post(T2I, {"image_seed": n}).json()[0]["url"] for n in range(4)]
        ids = list(door.stub.jobs)
        assert [item["job_id"] for item in door.get(HISTORY).json()["history"]] == ids[2:]
        assert [door.client.get(url).status_code for url in urls] == [404, 404, 200, 200]
        assert [door.get(QUERY, job_id=job_id).status_code for job_id in ids] == [404, 404, 200, 200]


def test_ended_jobs_are_kept_for_so_long(tmp_path):
    with live(tmp_path, history_ttl_s=-1) as door:  # what has just ended is too old
        (result,) = door.post(T2I, {}).json()
        assert door.get(HISTORY).json() == {"queue": [], "history": []}
        assert door.client.get(result["url"]).status_code == 404


def test_stop_gives_up_the_running_jobs_and_leaves_the_waiting_ones(door):
    running, waiting = (door.submit()["job_id"] for _ in range(2))
    door.stub.jobs[running].state = "IN_PROGRESS"
    assert door.post(STOP).json() == {"msg": "success"}
    assert door.ended(running)["job_status"] == "Cancelled"
    assert door.get(QUERY, job_id=waiting).json()["job_stage"] == "WAITING"


def test_stop_can_name_a_job_or_all(door):
    first, second, third = (door.submit()["job_id"] for _ in range(3))
    door.post(STOP, job_id=second)
    assert {name: door.stub.jobs[name].state for name in (first, second, third)} == {
        first: "IN_QUEUE", second: "CANCELLED", third: "IN_QUEUE",
    }  # fmt: skip
    door.post(STOP, all="true")
    assert [door.ended(name)["job_status"] for name in (first, third)] == ["Cancelled"] * 2


@pytest.mark.parametrize("query", [{}, {"job_id": "nobody"}, {"all": "true"}])
def test_stop_without_anything_to_stop_is_a_success(door, query):
    assert door.post(STOP, **query).json() == {"msg": "success"}


def test_stop_takes_any_body(door):
    assert door.client.post(STOP, content=b"garbage").json() == {"msg": "success"}


def test_a_platform_that_cannot_cancel_is_no_error_of_the_client(door):
    job_id = door.submit()["job_id"]
    door.stub.faults["cancel"].extend([500] * 3)
    assert door.post(STOP, job_id=job_id).json() == {"msg": "success"}
    assert door.get(QUERY, job_id=job_id).json()["job_stage"] == "WAITING"


def test_events_tell_every_change_and_close_with_the_end(door):
    job_id = door.submit()["job_id"]
    with door.client.stream("GET", EVENTS, params={"job_id": job_id}) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        told = (json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line.startswith("data: "))
        assert next(told) == {"progress": 0, "preview": None, "message": None, "images": []}
        door.stub.jobs[job_id].state = "IN_PROGRESS"
        door.stub.jobs[job_id].output = {"job_progress": 33, "job_status": "Step", "job_step_preview": PREVIEW}
        assert next(told) == {"progress": 33, "preview": PREVIEW, "message": "Step", "images": []}
        door.stub.release()
        *_, last = told
    assert (last["progress"], last["message"], len(last["images"])) == (100, "Finished", 1)


def test_events_of_an_unknown_job_are_not_found(door):
    assert door.get(EVENTS, job_id="nobody").status_code == 404


@pytest.mark.parametrize(("state", "error"), [("FAILED", "broken"), ("CANCELLED", None)])
def test_the_times_of_a_job_that_failed_are_those_of_the_platform(door, state, error):
    job_id = door.submit()["job_id"]
    door.stub.jobs[job_id].state, door.stub.jobs[job_id].error = state, error
    door.ended(job_id)
    (item,) = door.get(HISTORY).json()["history"]
    assert (item["start_mills"] - item["in_queue_mills"], item["finish_mills"] - item["start_mills"]) == (40, 250)


def test_times_that_the_platform_does_not_tell_are_when_it_was_seen(door):
    job_id = door.submit()["job_id"]
    door.stub.jobs[job_id].timed = False
    door.stub.release()
    door.ended(job_id)
    (item,) = door.get(HISTORY).json()["history"]
    assert 0 < item["in_queue_mills"] <= item["start_mills"] <= item["finish_mills"]
