"""The faults that tests can ask for do what they say, and nothing when nobody asks."""

import asyncio
import json

import pytest

from fooocus_engine.local_platform import limits
from tests.local_platform.faults import Faults
from tests.local_platform.standing import asked, served

TAKE, BATCH = "/job-take/w?gpu=x", "/job-take-batch/w?gpu=x&batch_size=2"


def scene(tmp_path, play, **faults):
    async def whole():
        async with served(tmp_path, middlewares=(Faults(**faults).middleware(),), hold_s=0.01) as (standing, client):
            await play(standing, client)

    asyncio.run(whole())


def progress(number):
    return {"status": "IN_PROGRESS", "output": number}


def test_without_faults_all_goes_well(tmp_path):
    async def play(standing, client):
        id = standing.submit({})
        assert await asked(client, "GET", TAKE) == (200, {"id": id, "input": {}})
        for number in (1, 2):
            await asked(client, "POST", f"/job-done/w/{id}?", progress(number))
        assert (await asked(client, "GET", f"/status/{id}"))[1]["output"] == 2
        assert (await asked(client, "POST", f"/job-done/w/{id}?", {"output": 1}))[0] == 200

    scene(tmp_path, play)


@pytest.mark.parametrize("path", [TAKE, BATCH])
def test_polls_are_answered_as_listed_and_then_well(tmp_path, path):
    async def play(standing, client):
        id = standing.submit()
        statuses = []
        for _ in range(6):
            async with client.get("/v2/local" + path) as answer:
                statuses.append((answer.status, await answer.text()))
        assert statuses == [(500, ""), (429, ""), (200, "{no json"), (200, "null"), (200, ""), (200, "<p>busy</p>")]
        assert id in json.dumps(await asked(client, "GET", path))

    scene(tmp_path, play, takes=[500, 429, "garbage", "null", "empty", "text"])


def test_a_job_can_be_handed_out_twice(tmp_path):
    async def play(standing, client):
        standing.submit()
        first = await asked(client, "GET", TAKE)
        assert await asked(client, "GET", TAKE) == first

    scene(tmp_path, play, takes=[None, "repeat"])


def test_a_poll_can_hang(tmp_path):
    async def play(standing, client):
        standing.submit()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asked(client, "GET", TAKE), 0.05)
        assert standing.take("v") != []

    scene(tmp_path, play, takes=["hang"])


@pytest.mark.parametrize(("fault", "status"), [(500, 500), (400, 400), ("drop", 200)])
def test_a_result_can_be_lost(tmp_path, fault, status):
    async def play(standing, client):
        id = standing.submit()
        standing.take("w")
        assert (await asked(client, "POST", f"/job-done/w/{id}?", {"output": 1}))[0] == status
        assert (await asked(client, "GET", f"/status/{id}"))[1]["status"] == "IN_PROGRESS"
        await asked(client, "POST", f"/job-done/w/{id}?", {"output": 1})
        assert (await asked(client, "GET", f"/status/{id}"))[1]["status"] == "COMPLETED"

    scene(tmp_path, play, dones=[fault])


def test_pings_can_be_dead(tmp_path):
    async def play(standing, client):
        id = standing.submit()
        standing.take("w")
        standing.clock.forward(limits.LEASE_MS)
        assert (await asked(client, "GET", f"/ping/w?job_id={id}"))[0] == 500
        standing.store.expire()
        assert (await asked(client, "GET", f"/status/{id}"))[1]["status"] == "IN_QUEUE"

    scene(tmp_path, play, dead_pings=True)


def test_progress_can_arrive_in_the_wrong_order(tmp_path):
    async def play(standing, client):
        id = standing.submit()
        standing.take("w")
        for number in (1, 2):
            await asked(client, "POST", f"/job-done/w/{id}?", progress(number))
        assert (await asked(client, "GET", f"/status/{id}"))[1]["output"] == 1

    scene(tmp_path, play, swap_progress=True)


def test_an_empty_input_can_be_dropped(tmp_path):
    async def play(standing, client):
        empty, other = standing.submit({}), standing.submit({"a": 1})
        assert await asked(client, "GET", TAKE) == (200, {"id": empty})
        assert await asked(client, "GET", TAKE) == (200, {"id": other, "input": {"a": 1}})

    scene(tmp_path, play, drop_empty_input=True)


def test_a_large_result_can_be_lost_as_on_the_live_platform(tmp_path):
    async def play(standing, client):
        id = standing.submit()
        standing.take("w")
        status, _ = await asked(client, "POST", f"/job-done/w/{id}?", {"output": "x" * limits.RUN_BYTES})
        assert status == 400
        told = (await asked(client, "GET", f"/status/{id}"))[1]
        assert (told["status"], "output" in told, "error" in told) == ("COMPLETED", False, False)

    scene(tmp_path, play, lose_large=True)
