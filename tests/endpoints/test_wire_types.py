"""Single values: names, files, addresses."""

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from fooocus_engine.endpoints.wire_types import FileName, OneOf, SaveName, Text, WebUrl, json_list, json_object


def test_an_exact_name_beats_one_that_differs_in_case():
    colours = OneOf("colour", ("red", "Red"), any_case=True)
    assert [colours(name) for name in ("Red", "red", "RED")] == ["Red", "red", "red"]


def test_case_matters_where_it_is_not_waived():
    with pytest.raises(PydanticCustomError, match="unknown colour 'RED'; near matches: red"):
        OneOf("colour", ("red",))("RED")


@pytest.mark.parametrize("value", [None, 3, ["red"]])
def test_what_is_no_text_is_left_to_the_fields_type(value):
    assert OneOf("colour", ("red",))(value) is value


@pytest.mark.parametrize("name", ["a.safetensors", "sub/b.ckpt", "a..b.bin", "Default (model)", "模型.pth", "a　b"])
def test_a_file_below_its_folder_is_allowed(name):
    assert TypeAdapter(FileName).validate_python(name) == name


@pytest.mark.parametrize(
    "name", ["", "..", "../a", "a/../b", "a\\..\\b", "/a", "C:/a", "\\\\host\\share\\a", "a\x00", "a\n"]
)
def test_a_file_elsewhere_is_refused(name):
    with pytest.raises(ValidationError, match="relative to its models folder"):
        TypeAdapter(FileName).validate_python(name)


@pytest.mark.parametrize("name", ["", "a", "a b", "a.b_c-d", "Ünïcødé 7", "図1", "x" * 100])
def test_a_plain_save_name_is_allowed(name):
    assert TypeAdapter(SaveName).validate_python(name) == name


@pytest.mark.parametrize(
    "name", [".a", "..", "a..b", "a/b", "a\\b", "a:b", "a*b", "a\tb", "a%2e", "x" * 101, "😀", "\ud800"]
)
def test_any_other_save_name_is_refused(name):
    with pytest.raises(ValidationError):
        TypeAdapter(SaveName).validate_python(name)


@pytest.mark.parametrize("url", ["", "http://a", "HTTPS://a.example:8443/x?y=1#z", "http://[::1]:80/"])
def test_a_web_address_is_allowed(url):
    assert TypeAdapter(WebUrl).validate_python(url) == url


@pytest.mark.parametrize(
    "url", ["a", "//a", "file:///etc/passwd", "http:///x", "http://a:0", "http://a:x", "http://a\n", " http://a"]
)
def test_any_other_address_is_refused(url):
    with pytest.raises(ValidationError, match="http or https"):
        TypeAdapter(WebUrl).validate_python(url)


def test_text_must_be_unicode():
    assert TypeAdapter(Text).validate_python("a\n😀") == "a\n😀"
    with pytest.raises(ValidationError):
        TypeAdapter(Text).validate_python("a\udfff")


def test_text_left_where_a_list_or_an_object_belongs_was_not_json():
    for read in (json_list, json_object):
        with pytest.raises(PydanticCustomError, match="not a valid JSON"):
            read("zz")
        with pytest.raises(PydanticCustomError, match="must be"):
            read(5)
    assert json_list([1]) == [1]
    assert json_object({"a": 1}) == {"a": 1}


def test_a_file_name_longer_than_any_file_system_takes_is_refused_at_once():
    with pytest.raises(ValidationError, match="at most 255"):
        TypeAdapter(FileName).validate_python("x" * 1_000_000)


@pytest.mark.parametrize("name", ["", ".", "/a", "a/../b", "..\\a", "c:a", "\\a", "a\n"])
def test_a_file_name_that_may_lead_out_is_refused(name):
    with pytest.raises(ValidationError, match="relative to its models folder"):
        TypeAdapter(FileName).validate_python(name)
