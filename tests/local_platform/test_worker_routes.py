"""What the SDK's worker is answered (platform.md §4), over HTTP on loopback."""

import asyncio
import json

import pytest

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.job import State
from tests.local_platform.standing import asked, served

SHORT = 0.01  # seconds that a poll without an answer is held


def scene(play, **options):
    def test(tmp_path):
        async def whole():
            async with served(tmp_path, **options) as (standing, client):
                await play(standing, client)

        asyncio.run(whole())

    test.__name__, test.__doc__ = play.__name__, play.__doc__
    return test


def state(standing, id):
    return standing.store.find(id).state


@scene
async def test_a_take_gives_the_job_as_its_client_sent_it(standing, client):
    id = standing.submit({"prompt": "ü"}, webhook="https://h.example/", s3Config={"accessId": "a"})
    status, job = await asked(client, "GET", "/job-take/w?gpu=x&job_in_progress=0")
    extras = {"webhook": "https://h.example/", "s3Config": {"accessId": "a"}}
    assert (status, job) == (200, {"id": id, "input": {"prompt": "ü"}, **extras})
    assert standing.store.find(id).held_by("w")


@scene
async def test_a_held_take_is_answered_by_the_next_submission(standing, client):
    taking = asyncio.create_task(asked(client, "GET", "/job-take/w?gpu=x"))
    _, submitted = await asked(client, "POST", "/run", {"input": 1})
    assert (await taking)[1]["id"] == submitted["id"]


@scene
async def test_a_batch_gives_up_to_its_size_as_a_list(standing, client):
    ids = [standing.submit() for _ in range(3)]
    status, jobs = await asked(client, "GET", "/job-take-batch/w?gpu=x&batch_size=2&job_in_progress=1")
    assert (status, [job["id"] for job in jobs]) == (200, ids[:2])


@pytest.mark.parametrize("size", ["0", "101", "x", "", "9" * 99])
def test_a_batch_of_another_size_is_refused(tmp_path, size):
    @scene
    async def play(standing, client):
        status, body = await asked(client, "GET", f"/job-take-batch/w?batch_size={size}")
        assert status == 400
        assert "allowed: 1 to 100" in body["error"]

    play(tmp_path)


def test_polls_without_an_answer_are_held_and_then_empty(tmp_path):
    async def play(standing, client):
        for path in ("/job-take/w?", "/job-take-batch/w?batch_size=2", "/job-stop/w?"):
            assert await asked(client, "GET", path) == (204, None)

    scene(play, hold_s=SHORT)(tmp_path)


@scene
async def test_two_workers_never_take_the_same_job(standing, client):
    takes = [asyncio.create_task(asked(client, "GET", f"/job-take/{worker}?")) for worker in ("v", "w")]
    ids = {(await asked(client, "POST", "/run", {"input": n}))[1]["id"] for n in range(2)}
    assert {body["id"] for _, body in await asyncio.gather(*takes)} == ids


@scene
async def test_a_final_post_ends_the_job_though_it_says_it_is_a_form(standing, client):
    id = standing.submit()
    standing.take("w")
    headers = {"charset": "utf-8", "Content-Type": "application/x-www-form-urlencoded"}
    body = '{"output": {"text": "a=1&b=ü"}}'.encode()
    status, _ = await asked(client, "POST", f"/job-done/w/{id}?gpu=x&isStream=false", body, headers=headers)
    assert status == 200
    assert json.loads(standing.store.result(id)[0]) == {"text": "a=1&b=ü"}


@pytest.mark.parametrize("body", [b'{"output": NaN}', b"a=b", b'{"output": "\xff"}'])
def test_a_result_that_is_no_json_is_refused_and_its_job_failed(tmp_path, body):
    @scene
    async def play(standing, client):
        id = standing.submit()
        standing.take("w")
        assert (await asked(client, "POST", f"/job-done/w/{id}?", body))[0] == 400
        assert state(standing, id) is State.FAILED
        assert "the worker posted no" in standing.store.result(id)[1]

    play(tmp_path)


@pytest.mark.parametrize("megabytes", [11, 40])
def test_a_result_over_the_limit_is_refused_and_its_job_failed(tmp_path, megabytes):
    @scene
    async def play(standing, client):
        id = standing.submit()
        standing.take("w")
        status, _ = await asked(client, "POST", f"/job-done/w/{id}?", {"output": "x" * megabytes * limits.MB})
        assert (status, state(standing, id)) == (400, State.FAILED)
        assert "MB" in standing.store.result(id)[1]

    play(tmp_path)


@scene
async def test_a_result_of_a_runsync_job_may_be_twice_as_large(standing, client):
    id = standing.submit(synchronous=True)
    standing.take("w")
    await asked(client, "POST", f"/job-done/w/{id}?", {"output": "x" * 11 * limits.MB})
    assert state(standing, id) is State.COMPLETED


@scene
async def test_progress_after_the_end_changes_nothing(standing, client):
    id = standing.submit()
    standing.take("w")
    await asked(client, "POST", f"/job-done/w/{id}?", {"output": 1})
    status, _ = await asked(client, "POST", f"/job-done/w/{id}?", {"status": "IN_PROGRESS", "output": 99})
    assert status == 200
    assert (await asked(client, "GET", f"/status/{id}"))[1]["output"] == 1


@scene
async def test_progress_does_not_survive_the_loss_of_its_worker(standing, client):
    id = standing.submit()
    standing.take("w")
    await asked(client, "POST", f"/job-done/w/{id}?", {"status": "IN_PROGRESS", "output": 99})
    standing.platform.lose("w", expected=False)
    assert "output" not in (await asked(client, "GET", f"/status/{id}"))[1]


@scene
async def test_posts_for_an_unknown_job_are_answered_with_404(standing, client):
    assert (await asked(client, "POST", "/job-done/w/x?", {"output": 1}))[0] == 404
    assert (await asked(client, "POST", "/job-stream/w/x?", {"output": 1}))[0] == 404


@scene
async def test_a_worker_that_asks_to_be_replaced_is_given_no_more(standing, client):
    id, waiting = standing.submit(), standing.submit()
    standing.take("w")
    dismissed = asyncio.create_task(standing.platform.dismissed("w"))
    await asked(client, "POST", f"/job-done/w/{id}?", {"output": 1, "stopPod": True})
    await dismissed
    taking = asyncio.create_task(asked(client, "GET", "/job-take/w?"))
    assert (await asked(client, "GET", "/job-take/v?"))[1]["id"] == waiting
    standing.platform.let_go("w")
    assert await taking == (204, None)


@scene
async def test_a_chunk_over_a_megabyte_is_refused(standing, client):
    id = standing.submit()
    standing.take("w")
    assert (await asked(client, "POST", f"/job-stream/w/{id}?", {"output": "x" * limits.MB}))[0] == 400
    assert standing.store.fetch_chunks(id) == []


@scene
async def test_a_chunk_of_a_job_that_was_taken_away_is_not_kept(standing, client):
    id = standing.submit()
    standing.take("v")
    assert (await asked(client, "POST", f"/job-stream/w/{id}?", {"output": 1}))[0] == 200
    assert standing.store.fetch_chunks(id) == []


@scene
async def test_a_ping_keeps_a_job_with_its_worker(standing, client):
    id = standing.submit()
    standing.take("w")
    for _ in range(3):
        standing.clock.forward(limits.LEASE_MS - 1)
        assert (await asked(client, "GET", f"/ping/w?job_id={id}&runpod_version=1.12.0"))[0] == 200
        standing.platform.store.expire()
    assert state(standing, id) is State.IN_PROGRESS


@scene
async def test_a_ping_with_a_job_that_was_taken_away_is_answered_on_the_stop_channel(standing, client):
    id = standing.submit()
    standing.take("w")
    standing.store.release("w", lost=True)
    asking = asyncio.create_task(asked(client, "GET", "/job-stop/w?"))
    await asked(client, "GET", f"/ping/w?job_id={id},other")
    assert (await asking)[1] == {"jobsToStop": sorted([id, "other"])}


@scene
async def test_an_unfit_worker_is_counted_as_unhealthy(standing, client):
    path = "/ping/w?status=unhealthy&check=models&reason=missing&runpod_version=1.12.0"
    assert (await asked(client, "GET", path))[0] == 200
    assert (await asked(client, "GET", "/health"))[1]["workers"]["unhealthy"] == 1
