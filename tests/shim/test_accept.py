"""Accept headers (api.md §4.2, §4.10)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fooocus_engine.shim.accept import prefers_text, raw_format, stored_format

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("query", "header", "extension"),
    [
        ("", "image/png", "png"),
        ("", "IMAGE/PNG", "png"),
        ("", "image/jpg", "jpeg"),
        ("", "image/jpeg", "jpeg"),
        ("", "image/webp", "webp"),
        ("", "image/*", "SAVED"),
        ("", "image/png, */*", "png"),
        ("", "image/png;q=0.9, application/json;q=0.8", "png"),
        ("", "image/avif,image/webp,image/png,*/*;q=0.8", "webp"),
        ("", "*/*, image/png", None),
        ("", "application/json, image/png", None),
        ("", "image/png;q=0.5, */*", None),
        ("", "image/png;q=0", None),
        ("", "image/png;q=x", None),
        ("", "image/gif", None),
        ("", BROWSER, None),
        ("", "*/*", None),
        ("", "", None),
        ("png", "application/json", "png"),
        ("JPG", "", "jpg"),
        ("image/webp", "image/png", "webp"),
        ("image/*", "", "SAVED"),
        ("application/json", "image/png", None),
        ("nonsense", "image/png", None),
        ("  ", "image/png", "png"),
    ],
)
def test_raw_bytes_are_for_those_who_want_a_picture_most(query, header, extension):
    assert raw_format(query, header, "SAVED") == extension


@pytest.mark.parametrize(
    ("header", "extension"),
    [("image/png", "png"), (" image/jpg ", "jpeg"), ("image/png, image/webp", None), ("image/*", None), ("", None)],
)
def test_a_stored_picture_is_converted_for_one_exact_type(header, extension):
    assert stored_format(header) == extension


@pytest.mark.parametrize(
    ("header", "text"),
    [("text/plain", True), (BROWSER, True), ("*/*", False), ("", False), ("application/json, text/plain", False),
     ("text/plain;q=0.5, application/json", False), ("text/plain, application/json;q=0.5", True)],
)  # fmt: skip
def test_text_is_for_those_who_prefer_it(header, text):
    assert prefers_text(header) is text


@given(st.text(), st.text())
def test_any_header_is_understood_somehow(query, header):
    assert raw_format(query, header, "png") in {None, "png", "jpg", "jpeg", "webp"}
    assert prefers_text(header) in (True, False)
