"""Replays the documented requests: as they are written to a door, and what each answer is held against.

The data is ``examples.json``; its tokens stand for pictures, for the last job and for the server's default checkpoint.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from fooocus_engine.endpoints.table import ENDPOINTS
from tests.shim.pictures import base64_of, file_name, media_of, picture

EXAMPLES: dict[str, list[dict[str, Any]]] = json.loads(Path(__file__).with_name("examples.json").read_text())
HTTP = {block: rows for block, rows in EXAMPLES.items() if block != "platform"}
REFUSED: list[dict[str, Any]] = json.loads(Path(__file__).with_name("refused.json").read_text())
"""Requests that must be refused, and the place that is named; those ``by_worker`` only by one that opens pictures."""
RESULT = ["base64", "url", "seed", "finish_reason"]
JOB = ["job_id", "job_type", "job_stage", "job_progress", "job_status", "job_step_preview", "job_result"]
NO_ENGINE = {route.path: row.name for row in ENDPOINTS.values() if row.request is None for route in row.routes}
"""Paths that answer 501 for now, and the endpoint that they name."""


@dataclass
class Replay:
    """Sends examples with ``client``. ``file_url`` tells where a picture can be fetched; ``steps`` makes it quick."""

    client: httpx.Client
    file_url: Callable[[str], str]
    steps: int | None = None
    job: str = ""

    def send(self, example: Mapping[str, Any]) -> httpx.Response:
        """The answer to an example, every token filled in."""
        headers = dict(example.get("headers", {}))
        sent: dict[str, Any] = {"params": self.filled(example.get("query", {}))}
        if "content" in example:
            sent["content"] = example["content"]
        if "json" in example:
            sent["content"] = json.dumps(self.quick(self.filled(example["json"]))).encode()
            if not example.get("raw_json"):
                headers["Content-Type"] = "application/json"
        if "form" in example or "files" in example:
            sent["data"] = self._quick_form(self.filled(example.get("form", {})))
            sent["files"] = {
                n: self._part(token.removeprefix("@file:")) for n, token in example.get("files", {}).items()
            }
        reply = self.client.request(example.get("method", "POST"), example["path"], headers=headers, **sent)
        if reply.status_code == 200 and example.get("expect", {}).get("shape") == "job":
            self.job = reply.json()["job_id"]
        return reply

    def filled(self, value: Any) -> Any:
        """``value`` with what its tokens stand for."""
        match value:
            case "@job":
                return self.job
            case str() if value.startswith("@b64:"):
                return base64_of(value[5:])
            case str() if value.startswith("@data:"):
                return f"data:{media_of(value[6:])};base64,{base64_of(value[6:])}"
            case str() if value.startswith("@url:"):
                return self.file_url(value[5:])
            case dict():
                return {name: self.filled(item) for name, item in value.items()}
            case list():
                return [self.filled(item) for item in value]
            case _:
                return value

    def quick(self, body: dict[str, Any]) -> dict[str, Any]:
        """The fields of a request with few steps, unless it says how many itself."""
        advanced = body.get("advanced_params") or {}
        if self.steps is None or "overwrite_step" in advanced or isinstance(advanced, str):
            return body
        return {**body, "advanced_params": {**advanced, "overwrite_step": self.steps}}

    def _quick_form(self, form: dict[str, Any]) -> dict[str, Any]:
        if self.steps is None:
            return form
        try:
            advanced = json.loads(form.get("advanced_params") or "{}")
        except ValueError:  # one that is to be refused
            return form
        return {**form, "advanced_params": json.dumps({"overwrite_step": self.steps, **advanced})}

    def _part(self, name: str) -> tuple[str, bytes, str]:
        return file_name(name), picture(name), media_of(name)


def check(reply: httpx.Response, example: Mapping[str, Any]) -> None:
    """Hold an answer against what an example expects of it."""
    expected = example["expect"]
    if example["path"] in NO_ENGINE:
        assert reply.status_code == 501
        assert f"{NO_ENGINE[example['path']]!r} has no engine part" in reply.json()["detail"]
        return
    assert reply.status_code == expected["status"], reply.text
    _SHAPES[expected["shape"]](reply, expected)
    if "equals" in expected:
        assert reply.json() == expected["equals"]
    if "keys" in expected:
        assert set(expected["keys"]) <= set(reply.json())


def check_refused(reply: httpx.Response, example: Mapping[str, Any]) -> None:
    """Hold the answer to a request that must be refused against what is documented."""
    if example["path"] in NO_ENGINE:
        assert reply.status_code == 501
        return
    assert reply.status_code == 422, reply.text
    assert [problem["loc"] for problem in reply.json()["detail"]] == [example["loc"]]


def _list(reply: httpx.Response, expected: Mapping[str, Any]) -> None:
    results = reply.json()
    assert len(results) == expected["n"]
    for result in results:
        assert list(result) == RESULT
        assert result["finish_reason"] == "SUCCESS"
        assert result["seed"].isdecimal()
        assert result["url"].startswith("http://")
        if prefix := expected.get("base64_prefix"):
            assert result["base64"].startswith(prefix)
            assert picture_of(base64.b64decode(result["base64"].partition(",")[2]))
        else:
            assert result["base64"] is None
    if suffix := expected.get("url_suffix"):
        assert results[expected.get("url_suffix_index", 0)]["url"].endswith(suffix)


def _job(reply: httpx.Response, expected: Mapping[str, Any]) -> None:
    job = reply.json()
    assert list(job) == JOB
    assert isinstance(job["job_id"], str)
    assert type(job["job_progress"]) is int
    assert job["job_type"] == expected.get("job_type", job["job_type"])
    assert job["job_step_preview"] is None or expected.get("preview_may_be_set")


def _bytes(reply: httpx.Response, expected: Mapping[str, Any]) -> None:
    assert reply.headers["content-type"] == expected["content_type"]
    assert picture_of(reply.content) == expected["content_type"].removeprefix("image/").upper()
    assert {"x-seed", "x-job-id", "x-file-url"} <= set(reply.headers)


def _array(reply: httpx.Response, expected: Mapping[str, Any]) -> None:
    names = reply.json()
    assert len(names) == expected["n"]
    assert names[: len(expected["first"])] == expected["first"]
    assert set(expected["contains"]) <= set(names)


def _object(reply: httpx.Response, expected: Mapping[str, Any]) -> None:
    assert isinstance(reply.json(), dict)


def _string(reply: httpx.Response, expected: Mapping[str, Any]) -> None:
    assert isinstance(reply.json(), str)


def _text(reply: httpx.Response, expected: Mapping[str, Any]) -> None:
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text == expected["equals_text"]


def _html(reply: httpx.Response, expected: Mapping[str, Any]) -> None:
    assert reply.headers["content-type"].startswith("text/html")
    assert all(piece in reply.text for piece in expected["contains"])


_SHAPES: dict[str, Callable[[httpx.Response, Mapping[str, Any]], None]] = {
    "list": _list, "job": _job, "bytes": _bytes, "array": _array,
    "object": _object, "string": _string, "text": _text, "html": _html,
}  # fmt: skip


def picture_of(data: bytes) -> str:
    """The format of a picture that can be decoded."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return str(image.format)


def canonical_values(example: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What an example says of the request that the worker gets, without the server's own default."""
    for name, value in example["expect"].get("canonical", {}).items():
        if value != "@default":
            yield name, value
