"""Stored pictures and small pages over HTTP (api.md §4.10, §4.11)."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from fooocus_engine.output.encode import read_metadata
from tests.shim.live import T2I, live


@pytest.fixture(scope="module")
def door(tmp_path_factory):
    with live(tmp_path_factory.mktemp("door")) as running:
        yield running


@pytest.fixture(scope="module")
def stored(door):
    """The address of a PNG."""
    (result,) = door.post(T2I, {"prompt": "a boat", "save_name": "the boat"}).json()
    return result["url"]


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("image/jpeg", "JPEG"),
        ("image/jpg", "JPEG"),
        ("IMAGE/WEBP", "WEBP"),
        ("image/png", "PNG"),
        ("*/*", "PNG"),
        ("image/webp,*/*", "PNG"),
        ("image/webp;q=0.9", "PNG"),
        ("image/gif", "PNG"),
        ("", "PNG"),
    ],
)
def test_a_picture_comes_in_the_format_that_is_asked_for_exactly(door, stored, accept, form):
    reply = door.client.get(stored, headers={"Accept": accept})
    assert reply.headers["content-type"] == f"image/{form.lower()}"
    with Image.open(io.BytesIO(reply.content)) as image:
        assert image.format == form
    assert json.loads(read_metadata(reply.content).text) == {"prompt": "a boat"}
    assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_a_picture_that_has_the_format_is_sent_byte_for_byte(door, stored):
    (path,) = door.data.glob("files/*/the boat-0.png")
    assert door.client.get(stored, headers={"Accept": "image/png"}).content == path.read_bytes()
    assert "the%20boat-0.png" in stored


def test_a_picture_that_is_too_large_is_kept_but_not_converted(door):
    folder = door.data / "files" / "2024-01-02"
    folder.mkdir(parents=True)
    Image.new("1", (20_000, 5_000)).save(folder / "wide.png")
    path = "/files/2024-01-02/wide.png"
    reply = door.client.get(path, headers={"Accept": "image/webp"})
    assert (reply.status_code, list(reply.json())) == (406, ["detail"])
    assert door.client.get(path, headers={"Accept": "image/png"}).status_code == 200


def test_a_picture_has_a_tag_in_each_format(door, stored):
    tags = {door.client.get(stored, headers={"Accept": f"image/{form}"}).headers["etag"] for form in ("png", "webp")}
    assert len(tags) == 2


@pytest.mark.parametrize(
    "path",
    [
        "/files/2024-1-1/the boat-0.png",
        "/files/state/shim.db",
        "/files/..%2fstate/shim.png",
        "/files/2024-01-01/..%2f..%2fsecret.png",
        "/files/2024-01-01/%2e%2e%5csecret.png",
        "/files/2024-01-01/.png",
        "/files/2024-01-01/x.PNG",
        "/files/2024-01-01/x.png%00.txt",
        "/files/2024-01-01",
        "/inputs/x",
    ],
)
def test_nothing_else_is_served(door, path):
    (door.data / "secret.png").write_bytes(b"secret")
    assert door.get(path).status_code == 404


def test_base_url_is_the_prefix_of_addresses(tmp_path):
    with live(tmp_path, base_url="https://pictures.example/api") as door:
        (result,) = door.post(T2I, {}).json()
    assert result["url"].startswith("https://pictures.example/api/files/2")


def test_the_first_page_leads_to_the_documents(door):
    reply = door.get("/")
    assert reply.headers["content-type"].startswith("text/html")
    assert reply.text.count("<a href=") == 1


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("*/*", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/plain; charset=utf-8"),
    ],
)
def test_ping_answers_in_the_words_of_either_generation(door, accept, media):
    reply = door.client.get("/ping", headers={"Accept": accept})
    assert reply.headers["content-type"] == media
    assert reply.text == ('"pong"' if "json" in media else "pong")


def test_health_tells_of_the_platform(door):
    reply = door.get("/health")
    assert (reply.status_code, reply.json()["status"], reply.json()["open_jobs"]) == (200, "ok", 0)
    assert reply.json()["platform"]["workers"] == {"idle": 1, "running": 0}
    door.stub.faults["health"].append(500)
    ill = door.get("/health")
    assert (ill.status_code, ill.json()["platform"]) == (503, None)
