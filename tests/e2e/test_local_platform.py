"""The local platform and workers of the real SDK, as processes of their own: jobs, deaths, ends and faults.

The workers run a handler of a few lines that does what a job says, so that each scene takes seconds; the product's own
handler stands at the end.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from fooocus_engine.local_platform.database import FILE
from fooocus_engine.local_platform.serving import HANDLER
from tests.local_platform.process import Process, alive, running, until
from tests.local_platform.standing import BASE

JOBS = 50
SLOTS = {"SLOTS": "8"}


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    with running(tmp_path_factory.mktemp("state")) as process:
        yield process


@pytest.fixture
def lap(tmp_path):
    folder = tmp_path / "lap"
    folder.mkdir()
    return folder


def begun(lap, *ids):
    """Wait until these jobs are running."""
    until(lambda: all((lap / id).exists() for id in ids))


def go(lap):
    (lap / "go").touch()


def test_a_job_goes_to_a_worker_and_its_result_to_the_client(platform):
    status, body = platform.ask("POST", "/runsync?wait=300000", {"input": {"value": "ü"}})
    assert (status, body["status"], body["output"]) == (200, "COMPLETED", {"value": "ü"})
    assert body["workerId"].startswith("local-1-")


def test_a_failed_job_tells_its_error(platform):
    told = platform.ended(platform.submit(error='{"status":422}'))
    assert (told["status"], told["error"]) == ("FAILED", '{"status":422}')


def test_progress_is_seen_while_a_job_runs(platform, lap):
    id = platform.submit(progress=[{"job_progress": 1}, {"job_progress": 2}], lap=str(lap))
    begun(lap, id)
    assert platform.status(id)["output"] == {"job_progress": 2}
    go(lap)
    assert platform.ended(id)["output"] == {"value": None}


def test_a_cancelled_job_is_stopped_in_its_worker_and_others_go_on(platform, lap):
    stopped, other = platform.submit(lap=str(lap)), platform.submit(lap=str(lap), value=1)
    begun(lap, stopped, other)
    assert platform.ask("POST", f"/cancel/{stopped}")[1] == {"id": stopped, "status": "CANCELLED"}
    until((lap / f"{stopped}.cancelled").exists)
    go(lap)
    assert platform.ended(other)["output"] == {"value": 1}
    assert platform.status(stopped)["status"] == "CANCELLED"


def test_a_retried_job_runs_again(platform):
    id = platform.submit(error="no")
    platform.ended(id)
    assert platform.ask("POST", f"/retry/{id}") == (200, {"id": id, "status": "IN_QUEUE"})
    assert platform.ended(id)["error"] == "no"


def test_a_worker_that_asks_to_be_replaced_is_replaced(platform):
    before = platform.ended(platform.submit(error="CUDA error", refresh_worker=True))
    after = platform.ended(platform.submit(value=2))
    assert (before["status"], after["output"]) == ("FAILED", {"value": 2})
    assert before["workerId"] != after["workerId"]


class Receiver(HTTPServer):
    """Keeps the bodies that are posted to it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Hook)
        self.got = []
        self.arrived = threading.Event()

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()
            self.server.arrived.set()

        def log_message(self, *args):
            pass


def test_the_webhook_is_sent_what_status_says(platform):
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever)
        thread.start()
        hook = f"http://127.0.0.1:{receiver.server_address[1]}/hook?secret=1"
        _, body = platform.ask("POST", "/run", {"input": {"value": 3}, "webhook": hook})
        assert receiver.arrived.wait(500)
        receiver.shutdown()
        thread.join()
    assert receiver.got == [platform.status(body["id"]) | {"input": {"value": 3}, "webhook": hook}]


def test_chunks_of_a_generator_are_streamed_and_gathered(tmp_path):
    handler = HANDLER.parent / "tests" / "local_platform" / "streaming_handler.py"
    with running(tmp_path, handler=handler) as platform:
        id = platform.submit(chunks=[1, {"two": "ü"}, "three"])
        assert platform.ended(id)["output"] == [1, {"two": "ü"}, "three"]
        chunks = [{"output": 1}, {"output": {"two": "ü"}}, {"output": "three"}]
        assert platform.ask("GET", f"/stream/{id}")[1] == {"status": "COMPLETED", "stream": chunks}


def test_bad_answers_to_its_polls_do_not_keep_a_worker_from_its_jobs(tmp_path):
    takes = [204, 400, 429, 500, "garbage", "null", "empty", "text"]
    with running(tmp_path, faults={"takes": takes}) as platform:
        assert platform.ended(platform.submit(value=1))["output"] == {"value": 1}


def test_a_result_that_is_refused_for_a_moment_is_posted_again(tmp_path):
    with running(tmp_path, faults={"dones": [500]}) as platform:
        assert platform.ended(platform.submit(value=1))["output"] == {"value": 1}


@pytest.mark.slow
def test_results_that_are_refused_come_back_when_the_lease_is_over(tmp_path):
    """The worker drops them and no longer tells of these jobs; the lease is a minute."""
    with running(tmp_path, faults={"dones": [400, 429, 404]}, variables=SLOTS) as platform:
        ids = [platform.submit(value=n) for n in range(4)]
        told = [platform.ended(id) for id in ids]
    assert [body["output"] for body in told] == [{"value": n} for n in range(4)]
    assert sorted(body.get("retries", 0) for body in told) == [0, 1, 1, 1]


@pytest.mark.slow
def test_a_job_whose_worker_is_never_heard_is_handed_out_once_more_and_then_given_up(tmp_path, lap):
    with running(tmp_path, faults={"dead_pings": True}, variables=SLOTS) as platform:
        lost = platform.submit(lap=str(lap))
        begun(lap, lost)
        told = platform.ended(lost)
        go(lap)
        assert (told["status"], told["error"], told["retries"]) == ("FAILED", "job timed out after 1 retries", 1)
        assert platform.ended(platform.submit(value=1))["output"] == {"value": 1}


@pytest.mark.parametrize("victims", [("worker",), ("platform",), ("worker", "platform")], ids="+".join)
def test_fifty_jobs_reach_their_ends_though_processes_are_killed(tmp_path, lap, victims):
    runs = tmp_path / "runs"
    runs.mkdir()
    state = tmp_path / "state"
    platform = Process(state, workers=2, variables=SLOTS)
    workers = [platform.worker() for _ in range(2)]
    held = [platform.submit(lap=str(lap), count=str(runs), value=n) for n in range(16)]
    begun(lap, *held)
    expected = {id: ("COMPLETED", {"value": n}, None) for n, id in enumerate(held)}
    for n in range(16, JOBS):
        given = {"error": f"no {n}"} if n % 5 == 0 else {"value": n}
        end = ("FAILED", None, f"no {n}") if n % 5 == 0 else ("COMPLETED", {"value": n}, None)
        expected[platform.submit(count=str(runs), **given)] = end
    cancelled = list(expected)[20:23]
    for id in cancelled:
        platform.ask("POST", f"/cancel/{id}")
        expected[id] = ("CANCELLED", None, None)

    if "worker" in victims:
        os.kill(workers[0][1], signal.SIGKILL)
    if "platform" in victims:
        platform.send(signal.SIGKILL)
        assert platform.wait() == -signal.SIGKILL
        until(lambda: not any(alive(pid) for _, pid in workers))
        platform = Process(state, workers=2, variables=SLOTS)
    go(lap)

    told = {id: platform.ended(id) for id in expected}
    assert {id: (t["status"], t.get("output"), t.get("error")) for id, t in told.items()} == expected
    ran = {id: len(list(runs.glob(f"{id}.*"))) for id in expected}
    lost = {id for id in expected if ran[id] == 2}
    assert {id: number for id, number in ran.items() if id not in lost} == {
        id: 0 if id in cancelled else 1 for id in expected if id not in lost
    }
    assert len(lost) == (16 if "platform" in victims else 8)
    retried = {id for id in expected if "retries" in told[id]}
    if victims != ("worker", "platform"):  # there the platform may have seen its worker die, or not
        assert retried == (lost if "worker" in victims else set())

    platform.send(signal.SIGTERM)
    assert platform.wait() == 0
    with closing(sqlite3.connect(state / FILE)) as rows:
        assert {id for (id,) in rows.execute("SELECT id FROM jobs")} == set(expected)
        (results,) = rows.execute("SELECT COUNT(*) FROM results").fetchone()
    assert results == JOBS


def test_an_idle_worker_ends_and_a_job_it_was_handed_meanwhile_goes_to_the_next(tmp_path):
    with running(tmp_path, hold=2) as platform:
        first = platform.ended(platform.submit(value=1))
        _, pid = platform.worker()
        os.kill(pid, signal.SIGTERM)
        id = platform.submit(value=2)
        told = platform.ended(id)
        assert told["output"] == {"value": 2}
        assert told["workerId"] != first["workerId"]
        platform.line("worker 1 ended: exit status 0")


def test_a_worker_that_is_told_to_end_finishes_what_it_runs(tmp_path, lap):
    with running(tmp_path, hold=2) as platform:
        name, pid = platform.worker()
        id = platform.submit(lap=str(lap), value=1)
        begun(lap, id)
        os.kill(pid, signal.SIGTERM)
        go(lap)
        told = platform.ended(id)
        assert (told["output"], told["workerId"], "retries" in told) == ({"value": 1}, name, False)
        platform.line("worker 1 ended: exit status 0")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_platform_lets_its_workers_finish_and_ends(tmp_path, lap, number):
    platform = Process(tmp_path / "state")
    _, pid = platform.worker()
    id = platform.submit(lap=str(lap), value=1)
    begun(lap, id)
    platform.send(number)
    go(lap)
    assert platform.wait() == 0
    until(lambda: not alive(pid))
    with running(tmp_path / "state", workers=0) as again:
        assert again.status(id)["output"] == {"value": 1}


def test_what_does_not_finish_in_its_grace_goes_on_at_the_next_start(tmp_path, lap):
    platform = Process(tmp_path / "state", grace=0.2)
    id = platform.submit(lap=str(lap), value=1)
    begun(lap, id)
    waiting = platform.submit(value=2)
    platform.send(signal.SIGINT)
    assert platform.wait() == 0
    go(lap)
    with running(tmp_path / "state") as again:
        told = [again.ended(job) for job in (id, waiting)]
    assert [body["output"]["value"] for body in told] == [1, 2]
    assert ["retries" in body for body in told] == [False, False]


PICTURE = {
    "endpoint": "text-to-image",
    "preset": "starter",
    "prompt": "a red cat",
    "image_seed": 11,
    "aspect_ratios_selection": "64*64",
    "advanced_params": {"overwrite_step": 2},
}


def test_the_products_own_handler_survives_being_killed(tmp_path):
    outputs = tmp_path / "outputs"
    variables = {"FOOOCUS_DEVICE": "cpu", "FOOOCUS_STORAGE": "folder", "FOOOCUS_OUTPUTS_DIR": str(outputs)}
    with running(tmp_path / "state", handler=HANDLER, variables=variables) as platform:
        _, pid = platform.worker()
        ids = [platform.submit(**PICTURE) for _ in range(3)]
        until(lambda: platform.status(ids[0])["status"] != "IN_QUEUE")
        os.kill(pid, signal.SIGKILL)
        told = [platform.ended(id) for id in ids]
    assert [body["status"] for body in told] == ["COMPLETED"] * 3
    names = {result["file_name"] for body in told for result in body["output"]["job_result"]}
    assert {path.name for path in outputs.rglob("*") if path.is_file()} == names
    assert len(names) == 3


def test_the_endpoint_is_the_documented_one(platform):
    assert platform.address.endswith(BASE)
