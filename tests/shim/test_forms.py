"""Forms: how files, repeated fields and objects become the fields of a request (api.md §2.1, §2.5)."""

from __future__ import annotations

import asyncio
import base64

import pytest
from starlette.requests import Request

from fooocus_engine.endpoints.table import Body
from fooocus_engine.errors import BadImage, InvalidRequest
from fooocus_engine.shim.forms import MAX_FILE_BYTES, Shape, given_body

SHAPE = Shape(lists=frozenset({"styles"}), texts=frozenset({"styles", "prompt"}))
BOUNDARY = "edge"
URLENCODED = "application/x-www-form-urlencoded"


def request(content: bytes, media: str | None) -> Request:
    headers = [] if media is None else [(b"content-type", media.encode())]

    async def receive():
        return {"type": "http.request", "body": content, "more_body": False}

    return Request({"type": "http", "method": "POST", "headers": headers, "app": None}, receive)


def multipart(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, str]:
    """Name, file name or none, content of each part."""
    lines = []
    for name, file, content in parts:
        label = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
        lines += [f"--{BOUNDARY}".encode(), f"Content-Disposition: {label}".encode(), b"", content]
    return b"\r\n".join([*lines, f"--{BOUNDARY}--".encode(), b""]), f"multipart/form-data; boundary={BOUNDARY}"


def fields(content: bytes, media: str | None, kind: Body = Body.FORM):
    return asyncio.run(given_body(request(content, media), kind, SHAPE)).fields


def test_a_file_becomes_base64():
    data = bytes(range(256)) * 10
    assert fields(*multipart(("image", "a.png", data))) == {"image": base64.b64encode(data).decode()}


def test_a_picture_may_be_text_and_an_empty_file_is_none():
    assert fields(*multipart(("image", None, b"https://x.example/a.png"))) == {"image": "https://x.example/a.png"}
    assert fields(*multipart(("image", "", b""))) == {"image": ""}


def test_a_file_where_text_is_read_is_refused():
    with pytest.raises(InvalidRequest) as refused:
        fields(*multipart(("prompt", "a.txt", b"a boat")))
    assert [problem.loc for problem in refused.value.problems] == [("body", "prompt")]


def test_a_file_of_an_old_field_is_read_too():
    assert fields(*multipart(("cn_img1", "a.png", b"one"), ("cn_img2", "b.png", b"two"))) == {
        "cn_img1": "b25l", "cn_img2": "dHdv",
    }  # fmt: skip


def test_a_file_over_the_limit_is_refused():
    with pytest.raises(BadImage, match="20 MB") as refused:
        fields(*multipart(("image", "a.png", b"x" * (MAX_FILE_BYTES + 1))))
    assert refused.value.problems[0].loc == ("body", "image")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"styles=a&styles=b", {"styles": ["a", "b"]}),
        (b"styles=a%2C+b", {"styles": "a, b"}),
        (b"styles=", {"styles": ""}),
        (b"prompt=one&prompt=two", {"prompt": "two"}),
        (b"prompt=gr%C3%B6%C3%9Fe", {"prompt": "größe"}),
        (b"", {}),
    ],
)
def test_repeated_fields_are_lists_where_lists_are_read(content, found):
    assert fields(content, URLENCODED) == found


def test_json_is_taken_on_a_form_route_too_and_nothing_is_an_empty_form():
    assert fields(b'{"prompt": "a"}', "application/json") == {"prompt": "a"}
    assert fields(b"", None) == {}


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (b"garbage", "multipart/form-data"),
        (b"garbage", f"multipart/form-data; boundary={BOUNDARY}"),
        (multipart(*[(f"f{n}", None, b"x") for n in range(201)])),
        (b"&".join(b"f%d=x" % n for n in range(201)), URLENCODED),
    ],
    ids=["no boundary", "garbage", "many parts", "many fields"],
)
def test_a_form_that_cannot_be_read_is_refused(content, media):
    with pytest.raises(InvalidRequest) as refused:
        fields(content, media)
    assert [(problem.type, problem.loc) for problem in refused.value.problems] == [("form_invalid", ("body",))]


def test_a_form_where_json_is_read_is_refused():
    with pytest.raises(InvalidRequest, match="not a form"):
        fields(b"prompt=a", URLENCODED, Body.JSON)
