"""Listings and tools: what wakes a worker, what is remembered (api.md §4.7, §6.5)."""

from __future__ import annotations

import threading

import pytest

from tests.shim.live import live
from tests.shim.replay import NO_ENGINE
from tests.shim.stub_worker import MODELS

ALL, REFRESH = "/v1/engines/all-models", "/v1/engines/refresh-models"
CLEAN = ["/v1/engines/clean_vram", "/v1/engines/clean-vram"]


@pytest.fixture
def door(tmp_path):
    with live(tmp_path) as running:
        yield running


def questions(door):
    return [given["endpoint"] for given in door.stub.inputs()]


def test_models_are_told_by_a_free_worker_each_time(door):
    assert door.get(ALL).json() == MODELS
    assert door.get(ALL).json() == MODELS
    assert questions(door) == ["all-models", "all-models"]


@pytest.mark.parametrize("workers", [{"idle": 0, "running": 1}, {"idle": 0, "running": 0}, {}])
def test_a_listing_wakes_no_sleeping_worker_once_it_is_known(door, workers):
    door.get(ALL)
    door.stub.workers = workers
    assert door.get(ALL).json() == MODELS
    assert questions(door) == ["all-models"]


def test_the_first_listing_asks_whoever_there_is(door):
    door.stub.workers = {}
    assert door.get(ALL).json() == MODELS


def test_a_worker_that_cannot_answer_leaves_what_was_known(door):
    door.get(ALL)
    door.stub.faults["runsync"].append(429)
    assert door.get(ALL).json() == MODELS


def test_refresh_always_asks(door):
    door.stub.workers = {}
    assert door.post(REFRESH).json() == MODELS
    assert door.post(REFRESH).json() == MODELS
    assert questions(door) == ["refresh-models"] * 2


def test_details_are_handed_on(door):
    door.get(ALL, details="true")
    assert door.stub.inputs() == [{"endpoint": "all-models", "details": True}]


@pytest.mark.parametrize("path", CLEAN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_memory_is_freed_where_a_worker_is_awake(door, method, path):
    reply = door.client.request(method, path)
    assert (reply.status_code, reply.json()) == (200, {"message": "ok"})
    assert questions(door) == ["clean-vram"]


@pytest.mark.parametrize("fault", [None, 500])
def test_no_worker_is_woken_to_free_memory(door, fault):
    door.stub.workers = {}
    if fault:
        door.stub.faults["health"].append(fault)
    assert door.get(CLEAN[0]).json() == {"message": "ok"}
    assert questions(door) == []


@pytest.mark.parametrize(("fault", "status"), [(401, 502), ("garbage", 502), (429, 429), (500, 503)])
def test_a_platform_that_does_not_answer_is_told(door, fault, status):
    door.stub.faults["runsync"].extend([fault] * 3)
    reply = door.post(REFRESH)
    assert reply.status_code == status
    assert set(reply.json()) == {"detail"}


def test_an_answer_of_another_shape_is_an_error(door):
    door.stub.worker = lambda job_id, given: {"models": []}
    assert door.post(REFRESH).status_code == 502


@pytest.fixture
def asking(door):
    """Somebody who waits for an answer that does not come yet."""
    door.stub.held = True
    replies = []
    thread = threading.Thread(target=lambda: replies.append(door.post(REFRESH)))
    thread.start()
    door.stub.wait_for("status")
    yield lambda: (thread.join(), replies[0])[1]
    thread.join()


def test_an_answer_that_comes_late_is_waited_for(door, asking):
    door.stub.faults["status"].append(500)
    door.stub.release()
    assert asking().json() == MODELS


def test_who_waits_for_an_answer_is_let_go_when_the_server_ends(door, asking):
    door.end()
    reply = asking()
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "5")


def test_styles_ask_nobody(door):
    assert len(door.get("/v1/engines/styles").json()) == 279
    assert door.stub.calls == []


@pytest.mark.parametrize("path", sorted(NO_ENGINE))
def test_an_endpoint_without_an_engine_part_names_itself(door, path):
    reply = door.post(path, {})
    assert reply.status_code == 501
    assert repr(NO_ENGINE[path]) in reply.json()["detail"]
    assert door.stub.calls == []
