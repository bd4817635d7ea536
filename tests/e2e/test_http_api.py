"""The documented requests against the drop-in server: ``python -m fooocus_engine.shim --local``, with the SDK's worker.

The shipped model paints two steps a picture; once more the recordings' tiny model does, as a checkpoint of the user's.
``make replay`` runs all of it, ``make test`` a few requests of each kind. With ``FOOOCUS_TEST_API=http://host:port`` a
server that runs already is asked instead, and with ``FOOOCUS_TEST_ENDPOINT`` the platform's endpoint behind it.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image

from fooocus_engine.output.encode import MEDIA_TYPES
from tests.e2e.drop_in import DropIn, drop_in, shipped_model_with_loras, tiny_model_of_the_user
from tests.shim.pictures import served_pictures
from tests.shim.replay import EXAMPLES, HTTP, REFUSED, Replay, check, check_refused, picture_of

LACKING = {"shipped": r"(FaceSwap|CPDS|inpaint engine v2\.6) needs .* not installed", "own": r"(?!)"}
"""What an example may be refused for: the shipped model has no such companions, a user's own has every file."""
A_FEW = {
    "t2i-03", "t2i-05", "t2i-09", "t2i-10", "t2i-17", "t2i-22", "uov-11", "ip-09", "enh-05", "des-01",
    *(example["id"] for example in HTTP["jobs"]),
}  # fmt: skip
"""Both dialects, forms and JSON, each form of answer."""
QUERY = "/v1/generation/query-job"
STEPS = 2
PATIENCE_S = 3000.0
OPEN = ("IN_QUEUE", "IN_PROGRESS", "RUNNING")

pytestmark = pytest.mark.timeout(7200)


@pytest.fixture(scope="module", params=["shipped", pytest.param("own", marks=pytest.mark.slow)])
def model(request) -> str:
    """Which model paints: the shipped one, or a checkpoint of the user's."""
    return request.param


@pytest.fixture(scope="module")
def server(model, tmp_path_factory) -> Iterator[DropIn]:
    """A running server on that model."""
    if address := os.environ.get("FOOOCUS_TEST_API"):
        yield DropIn(address, os.environ.get("FOOOCUS_TEST_ENDPOINT", ""), 0)
        return
    folder = tmp_path_factory.mktemp("server")
    shipped = model == "shipped"
    (shipped_model_with_loras if shipped else tiny_model_of_the_user)(folder / "models")
    preset = {"FOOOCUS_PRESET": "starter"} if shipped else {}
    with drop_in(folder, SHIM_SYNC_TIMEOUT=str(round(PATIENCE_S)), **preset) as running:
        yield running


@pytest.fixture(scope="module")
def lacking(model) -> re.Pattern[str]:
    """What an example may be refused with by this server."""
    return re.compile(LACKING[model])


@pytest.fixture(scope="module")
def client(server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S, trust_env=False) as found:
        yield found


@pytest.fixture(scope="module")
def replay(client) -> Iterator[Replay]:
    with served_pictures() as address:
        yield Replay(client, lambda name: f"{address}/{name}", steps=STEPS)


def test_a_few_documented_requests_are_answered_as_documented(replay, lacking):
    replay_all(replay, [example for block in HTTP.values() for example in block if example["id"] in A_FEW], lacking)


@pytest.mark.slow
@pytest.mark.parametrize("block", HTTP)
def test_documented_requests_are_answered_as_documented(replay, lacking, block):
    replay_all(replay, HTTP[block], lacking)


@pytest.mark.parametrize("example", [row for row in REFUSED if row.get("by_worker")], ids=lambda row: row["id"])
def test_what_only_a_worker_can_refuse_is_refused_and_its_place_named(replay, example):
    check_refused(replay.send(example), example)


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES["platform"], ids=lambda row: row["id"])
def test_documented_bodies_are_taken_by_the_platform_itself(server, replay, lacking, example):
    if not server.platform:
        pytest.skip("FOOOCUS_TEST_ENDPOINT is not set")
    given = replay.quick(replay.filled(example["body"]["input"]))
    job = ended_on_platform(server.platform, given)
    if job["status"] == "COMPLETED":
        assert not example.get("expect_error")
        for result in job["output"].get("job_result", ()) if isinstance(job["output"], dict) else ():
            assert result["base64"]
        return
    refusal = json.loads(job["error"])
    assert refusal["status"] == (422 if example.get("expect_error") else 501), refusal
    assert example.get("expect_error") or lacking.search(refusal["detail"]), refusal


def replay_all(replay: Replay, examples: list[dict], lacking: re.Pattern[str]) -> None:
    """Send examples one after the other; all that are answered otherwise are told together."""
    wrong = []
    for example in examples:
        try:
            answered(replay, example, lacking)
        except AssertionError as error:
            wrong.append(f"{example['id']}: {error}")
    assert not wrong, "\n".join(wrong)


def answered(replay: Replay, example: dict, lacking: re.Pattern[str]) -> None:
    """Send an example and hold its answer, and the pictures that come of it, against what is documented."""
    if example["id"] == "job-12":
        ended(replay.client, replay.job)
    reply = replay.send(example)
    if reply.status_code == 501 and lacking.search(reply.json()["detail"]):
        return
    check(reply, example)
    if example["id"] != "job-01" and reply.status_code == 200:
        for result in results(replay.client, reply, example, lacking):
            picture_is_right(replay.client.get(result["url"]), example)


def picture_is_right(stored: httpx.Response, example: dict) -> None:
    """It can be decoded, and has the format and the size that were asked for."""
    given = example.get("json", {})
    extension = given.get("save_extension", "png")
    assert stored.headers["content-type"] == MEDIA_TYPES[extension]
    assert picture_of(stored.content) == MEDIA_TYPES[extension].removeprefix("image/").upper()
    if (size := given.get("aspect_ratios_selection")) and "input_image" not in given:
        with Image.open(io.BytesIO(stored.content)) as image:
            assert image.size == tuple(map(int, size.replace("×", "*").split("*")))


def results(client: httpx.Client, reply: httpx.Response, example: dict, lacking: re.Pattern[str]) -> list[dict]:
    """The result objects that an answer leads to, once its job has ended; none of a question, and of a file's lack."""
    match example["expect"]["shape"]:
        case "list":
            return reply.json()
        case "job" if example["method"] == "POST":
            job = ended(client, reply.json()["job_id"])
            if job["job_stage"] == "ERROR" and lacking.search(job["job_status"]):
                return []
            assert job["job_stage"] == "SUCCESS", job["job_status"]
            return job["job_result"]
        case _:
            return []


def ended(client: httpx.Client, job_id: str) -> dict:
    """The job object when the job has ended."""
    while True:
        job = client.get(QUERY, params={"job_id": job_id, "wait": 60}).json()
        if job["job_stage"] in ("SUCCESS", "ERROR"):
            return job


def ended_on_platform(address: str, given: dict) -> dict:
    """The status of a job of the platform when it has ended; somebody else than the door submits it."""
    with httpx.Client(timeout=PATIENCE_S, trust_env=False) as client:
        job = client.post(f"{address}/runsync", json={"input": given}, params={"wait": 300_000}).json()
        while job["status"] in OPEN:
            job = client.get(f"{address}/status/{job['id']}").json()
        return job
