"""Who may come in (api.md §4.9, §4.11): the key, what is open to all, other sites."""

from __future__ import annotations

import pytest

from tests.shim.live import T2I, live

KEY = "sésame"
PROTECTED = [
    ("GET", "/ping"), ("GET", "/"), ("GET", "/health"), ("GET", "/nowhere"), ("GET", "/v1/engines/styles"),
    ("POST", T2I), ("GET", "/v1/generation/job-history"), ("POST", "/v1/generation/stop"), ("POST", "/ping/"),
]  # fmt: skip


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with live(tmp_path_factory.mktemp("door"), apikey=KEY) as running:
        yield running


@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize(
    "headers",
    [{}, {"X-API-KEY": "wrong"}, {"Authorization": f"Basic {KEY}"}, {"Authorization": "Bearer"}, {"X-API-KEY": ""}],
    ids=["none", "wrong", "basic", "bare bearer", "empty"],
)
def test_without_the_key_nothing_is_told(door, method, path, headers):
    sent = {name: value.encode() for name, value in headers.items()}
    reply = door.client.request(method, path, headers=sent)
    assert (reply.status_code, reply.json()) == (403, {"detail": "Forbidden"})


@pytest.mark.parametrize("headers", [{"X-API-KEY": KEY}, {"x-api-key": KEY}, {"Authorization": f"Bearer {KEY}"}])
def test_the_key_is_taken_from_either_header(door, headers):
    assert door.client.get("/ping", headers={name: value.encode() for name, value in headers.items()}).json() == "pong"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_the_documents_are_open(door, path):
    assert door.get(path).status_code == 200


def test_pictures_are_open_unless_protected(door, tmp_path):
    assert door.get("/files/2024-01-01/none.png").status_code == 404
    with live(tmp_path, apikey=KEY, protect_files=True) as other:
        assert other.get("/files/2024-01-01/none.png").status_code == 403


def test_ping_may_be_opened(tmp_path):
    with live(tmp_path, apikey=KEY, open_ping=True) as door:
        assert door.get("/ping").json() == "pong"
        assert door.get("/").status_code == 403


def test_every_site_may_call(door):
    asked = {"Origin": "https://site.example", "Access-Control-Request-Method": "POST"}
    allowed = door.client.options(T2I, headers={**asked, "Access-Control-Request-Headers": "X-API-KEY"})
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == "https://site.example"
    assert allowed.headers["access-control-allow-credentials"] == "true"
    refused = door.client.get("/ping", headers={"Origin": "https://site.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (403, "https://site.example")


def test_without_a_key_the_page_of_any_site_may_make_pictures(tmp_path):
    with live(tmp_path) as door:
        page = {"Origin": "https://site.example", "Sec-Fetch-Site": "cross-site"}
        made = door.client.post(T2I, json={"prompt": "a cat"}, headers=page)
    assert (made.status_code, len(made.json())) == (200, 1)
    assert made.headers["access-control-allow-origin"] == "https://site.example"


def test_sites_can_be_named(tmp_path):
    with live(tmp_path, cors_origins="https://one.example, https://two.example") as door:
        origins = {
            site: door.client.get("/ping", headers={"Origin": site}).headers.get("access-control-allow-origin")
            for site in ("https://two.example", "https://three.example")
        }
    assert origins == {"https://two.example": "https://two.example", "https://three.example": None}


def test_long_answers_are_compressed_for_those_who_can_read_it(tmp_path):
    with live(tmp_path) as door:
        packed = door.client.get("/v1/engines/styles", headers={"Accept-Encoding": "gzip"})
        plain = door.client.get("/v1/engines/styles", headers={"Accept-Encoding": "identity"})
        short = door.client.get("/ping", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert not {"content-encoding"} & {*plain.headers, *short.headers}
    assert packed.json() == plain.json()
