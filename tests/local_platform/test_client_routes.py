"""The contract of each client route (platform.md §6), over HTTP on loopback; the worker is the test."""

import asyncio
import json
import re

import pytest

from fooocus_engine.local_platform import limits
from fooocus_engine.local_platform.app import Access
from fooocus_engine.local_platform.job import State
from fooocus_engine.local_platform.store import Ending
from tests.local_platform.standing import BASE, asked, served

DONE = Ending(State.COMPLETED, '{"a":1}')
FAILED = Ending(State.FAILED, error="no")


def scene(play):
    """A test that is a conversation: the wrapped coroutine is given a platform and a client."""

    def test(tmp_path):
        async def whole():
            async with served(tmp_path) as (standing, client):
                await play(standing, client)

        asyncio.run(whole())

    test.__name__, test.__doc__ = play.__name__, play.__doc__
    return test


def ended(standing, ending=DONE, **body):
    """The id of a job that a worker took and ended."""
    id = standing.submit(**body)
    standing.take("w")
    standing.store.finish("w", id, ending)
    return id


@scene
async def test_run_answers_at_once_with_an_id(standing, client):
    status, body = await asked(client, "POST", "/run", {"input": {"prompt": "x"}})
    assert (status, body) == (200, {"id": body["id"], "status": "IN_QUEUE"})
    assert standing.take("w") == [body["id"]]


@scene
async def test_runsync_answers_when_the_job_has_ended(standing, client):
    asking = asyncio.create_task(asked(client, "POST", "/runsync?wait=300000", {"input": "x"}))
    (text,) = await standing.platform.take("w", 1)
    id = json.loads(text)["id"]
    standing.clock.forward(7)
    await asked(client, "POST", f"/job-done/w/{id}?gpu=x&isStream=false", {"output": [1]})
    times = {"delayTime": 0, "executionTime": 7, "workerId": "w"}
    assert await asking == (200, {"id": id, "status": "COMPLETED", "output": [1], **times})
    assert id.startswith("sync-")


@scene
async def test_runsync_answers_with_the_open_state_after_its_wait(standing, client):
    status, body = await asked(client, "POST", "/runsync?wait=1000", {"input": "x"})
    assert (status, body) == (200, {"id": body["id"], "status": "IN_QUEUE"})
    assert (await asked(client, "GET", f"/status/{body['id']}"))[1]["status"] == "IN_QUEUE"


@scene
async def test_runsync_of_a_job_that_vanishes_is_answered_with_404(standing, client):
    asking = asyncio.create_task(asked(client, "POST", "/runsync", {"input": "x", "policy": {"ttl": 10_000}}))
    await standing.platform.take("w", 1)
    standing.clock.forward(10_000)
    standing.platform.tick()
    assert (await asking)[0] == 404


@pytest.mark.parametrize("wait", ["999", "300001", "soon", ""])
def test_a_wait_out_of_range_is_refused_and_no_job_made(tmp_path, wait):
    @scene
    async def play(standing, client):
        status, body = await asked(client, "POST", f"/runsync?wait={wait}", {"input": "x"})
        assert status == 400
        assert "allowed: 1000 to 300000 milliseconds" in body["error"]
        assert standing.take() == []

    play(tmp_path)


@pytest.mark.parametrize("operation", ["run", "runsync"])
@pytest.mark.parametrize(("body", "said"), [("{", "no valid JSON"), ("[]", "no JSON object"), ({}, "input is missing")])
def test_a_bad_body_is_refused_with_400_and_a_reason(tmp_path, operation, body, said):
    @scene
    async def play(standing, client):
        status, answer = await asked(client, "POST", f"/{operation}", body)
        assert (status, list(answer)) == (400, ["error"])
        assert said in answer["error"]

    play(tmp_path)


@pytest.mark.parametrize(("operation", "megabytes"), [("run", 10), ("runsync", 20), ("run", 40)])
def test_a_body_over_the_limit_is_refused_with_400(tmp_path, operation, megabytes):
    @scene
    async def play(standing, client):
        status, answer = await asked(client, "POST", f"/{operation}", {"input": "x" * megabytes * limits.MB})
        assert status == 400
        assert "allowed: up to" in answer["error"]

    play(tmp_path)


@scene
async def test_a_body_is_read_whatever_its_content_type_says(standing, client):
    status, _ = await asked(client, "POST", "/run", {"input": 1}, headers={"Content-Type": "text/plain"})
    assert status == 200


@scene
async def test_status_follows_a_job_from_queue_to_end(standing, client):
    id = standing.submit()

    async def status(method="GET"):
        return (await asked(client, method, f"/status/{id}"))[1]

    assert await status() == {"id": id, "status": "IN_QUEUE"}
    standing.clock.forward(30)
    standing.take("w")
    running = {"id": id, "status": "IN_PROGRESS", "delayTime": 30, "workerId": "w"}
    assert await status() == running
    await asked(client, "POST", f"/job-done/w/{id}?", {"status": "IN_PROGRESS", "output": {"job_progress": 7}})
    assert await status() == {**running, "output": {"job_progress": 7}}
    standing.clock.forward(50)
    await asked(client, "POST", f"/job-done/w/{id}?", {"output": {"a": 1}})
    done = {**running, "status": "COMPLETED", "executionTime": 50, "output": {"a": 1}}
    assert await status() == await status("POST") == done


@scene
async def test_a_failed_job_shows_its_error_unchanged(standing, client):
    id = ended(standing, Ending(State.FAILED, error='{"status":422}'))
    status, body = await asked(client, "GET", f"/status/{id}")
    assert (status, body["status"], body["error"]) == (200, "FAILED", '{"status":422}')
    assert "output" not in body


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/status/x"),
        ("GET", "/stream/x"),
        ("POST", "/cancel/x"),
        ("POST", "/retry/x"),
        ("GET", "/status/x?ttl=9"),
    ],
)
def test_an_unknown_job_is_answered_with_404(tmp_path, method, path):
    @scene
    async def play(standing, client):
        assert await asked(client, method, path) == (404, {"error": "no such job (unknown, or expired)"})

    play(tmp_path)


@scene
async def test_a_result_is_gone_after_its_retention(standing, client):
    kept, short = ended(standing), ended(standing, synchronous=True)
    standing.clock.forward(limits.KEEP_RUNSYNC_MS)
    assert [(await asked(client, "GET", f"/status/{id}"))[0] for id in (kept, short)] == [200, 404]
    standing.clock.forward(limits.KEEP_RUN_MS)
    assert (await asked(client, "GET", f"/status/{kept}"))[0] == 404


@scene
async def test_status_with_a_ttl_lets_the_job_vanish_after_it(standing, client):
    id = ended(standing)
    assert (await asked(client, "GET", f"/status/{id}?ttl=6000"))[0] == 200
    standing.clock.forward(6000)
    assert (await asked(client, "GET", f"/status/{id}"))[0] == 404
    assert (await asked(client, "GET", f"/status/{id}?ttl=0"))[0] == 400


@scene
async def test_stream_gives_each_chunk_once(standing, client):
    id = standing.submit()
    standing.take("w")
    for n in range(2):
        await asked(client, "POST", f"/job-stream/w/{id}?isStream=false", {"output": {"n": n}})
    chunks = [{"output": {"n": 0}}, {"output": {"n": 1}}]
    assert await asked(client, "GET", f"/stream/{id}") == (200, {"status": "IN_PROGRESS", "stream": chunks})
    standing.store.finish("w", id, DONE)
    assert await asked(client, "POST", f"/stream/{id}") == (200, {"status": "COMPLETED", "stream": []})


@scene
async def test_cancel_ends_a_waiting_job(standing, client):
    id = standing.submit()
    assert await asked(client, "POST", f"/cancel/{id}") == (200, {"id": id, "status": "CANCELLED"})
    assert standing.take() == []


@scene
async def test_cancel_tells_the_worker_of_a_running_job(standing, client):
    id = standing.submit()
    standing.take("w")
    asking = asyncio.create_task(asked(client, "GET", "/job-stop/w?gpu=x"))
    assert await asked(client, "POST", f"/cancel/{id}") == (200, {"id": id, "status": "CANCELLED"})
    assert await asking == (200, {"jobsToStop": [id]})
    assert (await asked(client, "POST", f"/job-done/w/{id}?", {"output": 1}))[0] == 200
    assert (await asked(client, "GET", f"/status/{id}"))[1]["status"] == "CANCELLED"


@scene
async def test_cancel_leaves_an_ended_job_as_it_is(standing, client):
    id = ended(standing)
    assert await asked(client, "POST", f"/cancel/{id}") == (200, {"id": id, "status": "COMPLETED"})


@scene
async def test_retry_queues_a_failed_job_under_its_id(standing, client):
    id = ended(standing, FAILED)
    assert await asked(client, "POST", f"/retry/{id}") == (200, {"id": id, "status": "IN_QUEUE"})
    assert (await asked(client, "GET", f"/status/{id}"))[1] == {"id": id, "status": "IN_QUEUE"}
    assert standing.take("w") == [id]


@scene
async def test_retry_of_any_other_job_is_refused(standing, client):
    for id in (standing.submit(), ended(standing)):
        status, body = await asked(client, "POST", f"/retry/{id}")
        assert status == 400
        assert "only FAILED and TIMED_OUT jobs" in body["error"]


@scene
async def test_purge_queue_ends_waiting_jobs_and_tells_how_many(standing, client):
    running = standing.submit()
    standing.take("w")
    waiting = [standing.submit() for _ in range(3)]
    assert await asked(client, "POST", "/purge-queue") == (200, {"removed": 3, "status": "completed"})
    told = [(await asked(client, "GET", f"/status/{id}"))[1]["status"] for id in (running, *waiting)]
    assert told == ["IN_PROGRESS", *["CANCELLED"] * 3]


@scene
async def test_health_counts_jobs_and_workers(standing, client):
    ended(standing)
    ended(standing, FAILED)
    standing.platform.retry(ended(standing, FAILED))
    standing.take("w")
    standing.platform.ping("w", [])
    standing.submit()
    status, body = await asked(client, "GET", "/health")
    assert status == 200
    assert body["jobs"] == {"completed": 1, "failed": 2, "inProgress": 1, "inQueue": 1, "retried": 1}
    counts = {"idle": 0, "initializing": 0, "ready": 1, "running": 1, "throttled": 0, "unhealthy": 0}
    assert body["workers"] == counts


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/run", 405), ("GET", "/cancel/x", 405), ("POST", "/health", 405), ("GET", "/nothing", 404)],
)
def test_other_methods_and_paths_are_refused(tmp_path, method, path, status):
    @scene
    async def play(standing, client):
        found, body = await asked(client, method, path)
        assert (found, list(body)) == (status, ["error"])

    play(tmp_path)


@scene
async def test_another_endpoint_is_answered_with_404(standing, client):
    async with client.post("/v2/other/run", data='{"input":1}') as answer:
        assert (answer.status, await answer.json()) == (
            404,
            {"error": "no such endpoint (this platform has one, local)"},
        )


@scene
async def test_an_unexpected_error_tells_nothing(standing, client):
    standing.database.run("DROP TABLE tally")
    assert await asked(client, "GET", "/health") == (500, {"error": "internal error"})


@scene
async def test_too_many_requests_are_answered_with_429(standing, client):
    answers = [(await asked(client, "POST", "/purge-queue"))[0] for _ in range(3)]
    assert answers == [200, 200, 429]


KEYED = Access(api_key="secret", worker_key="inner")


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("/health", "Bearer secret", 200),
        ("/health", "secret", 200),
        ("/health", "Bearer secre", 401),
        ("/health", "Bearer inner", 401),
        ("/health", "ümlaut", 401),
        ("/health", None, 401),
        ("/ping/w", "inner", 200),
        ("/ping/w", "secret", 200),
        ("/ping/w", "x", 401),
    ],
)
def test_a_key_opens_all_routes_and_the_workers_key_theirs(tmp_path, path, given, status):
    async def play():
        async with served(tmp_path, access=KEYED) as (_, client):
            headers = {} if given is None else {"Authorization": given}
            found, body = await asked(client, "GET", path, headers=headers)
            assert found == status
            assert status == 200 or body == {"error": "the API key is missing or wrong"}

    asyncio.run(play())


def test_a_key_that_is_no_text_is_a_wrong_one(tmp_path):
    async def play():
        async with served(tmp_path, access=KEYED) as (_, client):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(b"GET /v2/local/health HTTP/1.1\r\nHost: localhost\r\nAuthorization: \xff\r\n\r\n")
            assert b" 401 " in await reader.readline()
            writer.close()
            await writer.wait_closed()

    asyncio.run(play())


OF_PAGES = [
    {"Origin": "https://page.example"},
    {"Sec-Fetch-Site": "cross-site"},  # a picture's address; no Origin tells of it
    {"Host": "page.example"},  # a name of the page's own that leads to this machine
    {"Host": "127.0.0.1.page.example:8889"},
    {"Host": "[::1"},
]


@pytest.mark.parametrize("headers", OF_PAGES, ids=str)
def test_without_a_key_web_pages_can_neither_send_jobs_nor_take_them(tmp_path, headers):
    @scene
    async def play(standing, client):
        id = standing.submit()
        for method, path, given in (("POST", "/run", {"input": 1}), ("GET", "/job-take/page", None)):
            status, body = await asked(client, method, path, given, headers=headers)
            assert status == 401
            assert re.search("web pages", body["error"])
        assert standing.take(most=2) == [id]

    play(tmp_path)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Sec-Fetch-Site": "none"}, {"Host": "localhost:1"}, {"Host": "[::1]:8889"}, {"Host": "127.0.0.2"}],
    ids=str,
)
def test_without_a_key_programs_of_this_machine_are_answered(tmp_path, headers):
    @scene
    async def play(standing, client):
        assert (await asked(client, "GET", "/health", headers=headers))[0] == 200

    play(tmp_path)


@scene
async def test_runsync_is_answered_with_the_open_state_when_the_platform_closes(standing, client):
    asking = asyncio.create_task(asked(client, "POST", "/runsync?wait=300000", {"input": "x"}))
    (text,) = await standing.platform.take("w", 1)
    standing.platform.close()
    assert (await asking)[1] == {"id": json.loads(text)["id"], "status": "IN_PROGRESS", "delayTime": 0, "workerId": "w"}


def test_the_base_is_what_the_routes_stand_under():
    assert BASE == "/v2/local"
