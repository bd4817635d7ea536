"""JSON that passes through."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fooocus_engine.local_platform import json_text

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_again(value):
    assert json_text.read(json_text.write(value)) == value


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_a_joined_object_is_the_object(value):
    texts = {name: json_text.write(part) for name, part in value.items()}
    assert json_text.read(json_text.joined(texts)) == value


def test_a_lone_surrogate_passes_through():
    text = json_text.write(json_text.read(rb'"\ud800"'))
    assert text == r'"\ud800"'


@pytest.mark.parametrize("text", [b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b"{", b"", b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(text):
    with pytest.raises(ValueError):
        json_text.read(text)


def test_a_number_that_is_none_is_not_written():
    with pytest.raises(ValueError):
        json_text.write(float("nan"))
    assert json.loads(json_text.write(0.1)) == 0.1
