"""How a refusal is written, and what is refused besides the documented examples (api.md §4.9)."""

from __future__ import annotations

import json

import pytest

from tests.shim.live import T2I, live

HISTORY = "/v1/generation/job-history"
QUERY = "/v1/generation/query-job"


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with live(tmp_path_factory.mktemp("door")) as running:
        yield running


def places(reply):
    assert reply.status_code == 422, reply.text
    return [problem["loc"] for problem in reply.json()["detail"]]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"style": ["No Such Style"]}, ["style", 0]),
        ({"webhook_url": "ftp://example.org"}, ["webhook_url"]),
    ],
)
def test_a_bad_field_is_named(door, fields, place):
    assert places(door.post(T2I, fields)) == [["body", *place]]


def test_all_problems_are_told_at_once(door):
    assert places(door.post(T2I, {"sharpness": 31, "image_number": 0})) == [
        ["body", "image_number"],
        ["body", "sharpness"],
    ]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"notjson", "json_invalid"),
        (b"", "missing"),
        (b"  ", "missing"),
        (b"[1]", "dict_type"),
        (b"null", "dict_type"),
        (b'"text"', "dict_type"),
        (b"\xff\xfe\xfd", "json_invalid"),
        (b"[" * 100_000, "json_invalid"),
        (b'{"image_seed": ' + b"9" * 5000 + b"}", "json_invalid"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_body_that_is_no_object_is_refused(door, content, kind):
    reply = door.client.post(T2I, content=content)
    assert places(reply) == [["body"]]
    assert reply.json()["detail"][0]["type"] == kind


@pytest.mark.parametrize("media", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_form_where_json_is_taken_is_refused(door, media):
    assert places(door.client.post(T2I, content=b"prompt=a", headers={"Content-Type": media})) == [["body"]]


@pytest.mark.parametrize(
    "media", ["application/json", "application/ld+json", "text/plain", "application/json; charset=utf-8"]
)
def test_json_is_taken_under_several_names(door, media):
    reply = door.client.post(T2I, content=b'{"prompt": "a", "async_process": true}', headers={"Content-Type": media})
    assert reply.status_code == 200


def test_a_refusal_repeats_the_body_in_short(door):
    reply = door.post(T2I, {"prompt": "x" * 5000, "sharpness": 31})
    found = reply.json()
    assert set(found) == {"detail", "body"}
    assert set(found["detail"][0]) == {"type", "loc", "msg", "input"}
    assert found["detail"][0]["input"] == 31
    assert found["body"]["sharpness"] == 31
    assert len(found["body"]["prompt"]) < 300


def test_odd_numbers_and_broken_characters_are_answered(door):
    reply = door.client.post(T2I, content=b'{"sharpness": NaN, "prompt": "\\ud800", "\\ud801": 1}')
    assert sorted(places(reply)) == [["body", "prompt"], ["body", "sharpness"]]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({}, ["query", "job_id"]),
        ({"job_id": "x", "require_step_preview": "maybe"}, ["query", "require_step_preview"]),
        ({"job_id": "x", "require_step_preivew": "maybe"}, ["query", "require_step_preivew"]),
        ({"job_id": "x", "wait": "-1"}, ["query", "wait"]),
    ],
)
def test_a_bad_question_about_a_job_is_named(door, query, place):
    assert places(door.get(QUERY, **query)) == [place]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"page": -1}, ["query", "page"]),
        ({"page_size": 0}, ["query", "page_size"]),
        ({"page_size": 1001}, ["query", "page_size"]),
        ({"delete": "true"}, ["query", "job_id"]),
    ],
)
def test_a_bad_question_about_the_history_is_named(door, query, place):
    assert places(door.get(HISTORY, **query)) == [place]


@pytest.mark.parametrize(
    "path",
    ["/files/2024-01-01/none.png", "/files/2024-01-01/a.txt", "/files/../x.png", "/files/%2e%2e/x.png", "/nowhere"],
)
def test_what_is_not_there_is_not_found(door, path):
    reply = door.get(path)
    assert (reply.status_code, reply.json()) == (404, {"detail": "Not Found"})


def test_the_wrong_method_is_told(door):
    reply = door.get(T2I)
    assert (reply.status_code, reply.json()) == (405, {"detail": "Method Not Allowed"})


def test_a_trailing_slash_leads_to_the_same_place(door):
    reply = door.client.post(f"{T2I}/", json={"async_process": True}, follow_redirects=True)
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("fields", "ignored"),
    [
        ({"colour": 1}, "colour"),
        ({"advanced_params": {"speed": 2}}, "advanced_params.speed"),
        ({"style": ["SAI Anime"], "style_selections": []}, "style"),
        ({"größe\n": 1}, "gr%C3%B6%C3%9Fe%0A"),
        ({"prompt": "a"}, None),
    ],
)
def test_fields_that_nobody_reads_are_named_in_a_header(door, fields, ignored):
    reply = door.post(T2I, {"async_process": True, **fields})
    assert reply.status_code == 200
    assert reply.headers.get("x-ignored-fields") == ignored


def test_null_is_not_given(door):
    body = {"prompt": None, "image_number": None, "advanced_params": None, "loras": None, "async_process": True}
    assert door.post(T2I, body).status_code == 200
    sent = door.stub.inputs()[-1]
    assert (sent["prompt"], sent["image_number"]) == ("", 1)
    assert not {"loras", "base_model_name", "refiner_model_name"} & set(sent)
    assert "vae_name" not in sent["advanced_params"]


def test_a_body_that_never_ends_is_refused(tmp_path):
    with live(tmp_path, max_body_mb=1) as door:
        announced = door.client.post(T2I, content=b" " * 2_000_000)
        streamed = door.client.post(T2I, content=iter([b" " * 400_000] * 4))
    for reply in (announced, streamed):
        assert reply.status_code == 413
        assert "1 MB" in reply.json()["detail"]


def test_a_refusal_that_a_worker_finds_is_told_as_our_own(door):
    problem = {"type": "unknown_name", "loc": ["body", "base_model_name"], "msg": "unknown base model", "input": "x"}
    door.stub.worker = lambda job_id, given: {
        "error": json.dumps({"status": 422, "type": "validation_error", "detail": [problem]})
    }
    reply = door.post(T2I, {"base_model_name": "x"})
    assert reply.status_code == 422
    assert reply.json() == {"detail": [problem], "body": {"base_model_name": "x"}}
    job = door.ended(door.submit(base_model_name="x")["job_id"])
    assert job["job_status"] == "Error: base_model_name: unknown base model"


def test_a_refusal_that_a_worker_finds_speaks_the_clients_words(door):
    problem = {"type": "unknown_name", "loc": ["body", "style_selections", 0], "msg": "unknown style", "input": "x"}
    door.stub.worker = lambda job_id, given: {"error": json.dumps({"status": 422, "detail": [problem]})}
    reply = door.post(T2I, {"style": ["SAI Anime"]})
    assert (reply.status_code, reply.json()["detail"][0]["loc"]) == (422, ["body", "style", 0])
