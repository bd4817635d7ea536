"""A door that ends or is killed while jobs are open: the next one brings every job to its right end (api.md §6.8)."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter

import httpx
import pytest

from tests.shim.live import T2I, listening, live, serving
from tests.shim.process import started
from tests.shim.receiver import receiver
from tests.shim.stub_platform import StubPlatform

QUERY = "/v1/generation/query-job"
OPEN_JOBS = 50


@pytest.fixture
def stub():
    return StubPlatform(held=True)


def test_open_jobs_go_on_after_a_restart_and_ended_ones_are_remembered(tmp_path, stub):
    with live(tmp_path, stub, persistent=True) as door:
        ids = [door.submit(image_seed=n, require_base64=True)["job_id"] for n in range(3)]
        stub.finish(stub.jobs[ids[1]])
        before = door.ended(ids[1])
    with live(tmp_path, stub, persistent=True) as door:
        found = door.get("/v1/generation/job-queue").json()
        assert found == {"running_size": 2, "finished_size": 1, "last_job_id": ids[2]}
        after = door.get(QUERY, job_id=ids[1]).json()
        assert [result["base64"] for result in after["job_result"]] == [r["base64"] for r in before["job_result"]]
        stub.release()
        assert [door.ended(job_id)["job_result"][0]["seed"] for job_id in (ids[0], ids[2])] == ["0", "2"]


def test_jobs_kept_in_memory_are_forgotten_but_can_be_asked_for(tmp_path, stub):
    with live(tmp_path, stub) as door:
        job_id = door.submit()["job_id"]
    with live(tmp_path, stub) as door:
        assert door.get("/v1/generation/job-queue").json()["running_size"] == 0
        stub.release()
        assert door.ended(job_id)["job_stage"] == "SUCCESS"


def test_who_waits_when_the_door_closes_is_told_which_job_goes_on(tmp_path, stub):
    replies = []
    with live(tmp_path, stub, persistent=True) as door:
        asking = threading.Thread(target=lambda: replies.append(door.post(T2I, {})))
        asking.start()
        stub.wait_for("status")
        door.end()
        asking.join()
    (job_id,) = stub.jobs
    assert (replies[0].status_code, replies[0].json()["job_id"]) == (503, job_id)
    assert replies[0].headers["retry-after"] == "5"


def test_a_webhook_that_hangs_does_not_hold_the_ending_door_and_is_sent_by_the_next(tmp_path):
    with serving(StubPlatform()) as platform, receiver() as hook:
        hook.answers.append("hang")
        with listening() as free:
            port = free.getsockname()[1]
        first = started(tmp_path, port, platform, FOOOCUS_ALLOW_PRIVATE_URLS="on")
        asked = {"webhook_url": hook.url}
        assert httpx.post(f"http://127.0.0.1:{port}{T2I}", json=asked, timeout=60, trust_env=False).status_code == 200
        (body,) = hook.wait_for(1)
        first.send_signal(signal.SIGINT)
        assert first.wait(10) == 0  # the try that hangs takes 15 s
        second = started(tmp_path, port, platform, FOOOCUS_ALLOW_PRIVATE_URLS="on")
        assert hook.wait_for(2) == [body, body]
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0


def test_a_killed_door_loses_none_of_fifty_open_jobs(tmp_path, stub):
    with serving(stub) as platform:
        with listening() as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        first = started(tmp_path, port, platform)
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            ids = [
                client.post(T2I, json={"async_process": True, "image_seed": n}).json()["job_id"]
                for n in range(OPEN_JOBS)
            ]
            for job_id in ids[:10]:
                stub.finish(stub.jobs[job_id])
            assert client.get(QUERY, params={"job_id": ids[0], "wait": 60}).json()["job_stage"] == "SUCCESS"
        first.send_signal(signal.SIGKILL)
        first.wait()
        for job_id in ids[10:20]:
            stub.finish(stub.jobs[job_id])
        stub.jobs[ids[20]].state = "CANCELLED"
        stub.jobs[ids[21]].state, stub.jobs[ids[21]].error = "FAILED", "broken"
        del stub.jobs[ids[22]]
        second = started(tmp_path, port, platform)
        stub.release()
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            jobs = [client.get(QUERY, params={"job_id": job_id, "wait": 60}).json() for job_id in ids]
            history = client.get("/v1/generation/job-history").json()
        second.send_signal(signal.SIGTERM)
        assert second.wait(60) == 0
    others = {20: "Cancelled", 21: "Error: broken", 22: "Error: result expired"}
    assert {n: job["job_status"] for n, job in enumerate(jobs) if job["job_stage"] != "SUCCESS"} == others
    done = [job for job in jobs if job["job_stage"] == "SUCCESS"]
    assert [job["job_result"][0]["seed"] for job in done] == [str(n) for n in range(OPEN_JOBS) if n not in others]
    assert (len(history["queue"]), len(history["history"])) == (0, OPEN_JOBS)
    files = Counter(path.name for path in (tmp_path / "data" / "files").rglob("*.png"))
    assert len(files) == len(done) == sum(files.values())
    assert json.dumps(history).count("task_id") == OPEN_JOBS
