"""The documented requests against a door whose workers answer at once: status, shape, picture, and what workers get."""

from __future__ import annotations

import pytest

from tests.shim.live import live
from tests.shim.replay import EXAMPLES, HTTP, NO_ENGINE, REFUSED, Replay, canonical_values, check, check_refused


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with live(tmp_path_factory.mktemp("door")) as running:
        yield running


def addressed(name: str) -> str:
    """The address of a picture; the stub worker fetches nothing."""
    return f"http://127.0.0.1:9/{name}"


@pytest.mark.parametrize("block", HTTP)
def test_documented_requests_get_the_documented_answers(door, block):
    replay = Replay(door.client, addressed)
    for example in HTTP[block]:
        if example["id"] == "job-12":
            door.ended(replay.job)
        before = len(door.stub.jobs)
        reply = replay.send(example)
        check(reply, example)
        sent = door.stub.inputs()[before:]
        if example["path"] not in NO_ENGINE:
            for name, value in canonical_values(example):
                assert sent[0][name] == value, (example["id"], name)


@pytest.mark.parametrize("example", [row for row in REFUSED if not row.get("by_worker")], ids=lambda row: row["id"])
def test_what_must_be_refused_is_refused_and_its_place_named(door, example):
    before = len(door.stub.jobs)
    check_refused(Replay(door.client, addressed).send(example), example)
    assert len(door.stub.jobs) == before


def test_there_are_as_many_examples_as_documented():
    assert sum(map(len, HTTP.values())) == 111
    assert len({example["id"] for rows in EXAMPLES.values() for example in rows}) == 127
