"""The bucket that a job brings along, as the platform hands it on."""

import json
import socket

import pytest

from fooocus_engine.bucket import Bucket
from fooocus_engine.endpoints.s3_config import client_bucket
from fooocus_engine.errors import InvalidRequest, reply_fields
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import EVERY_NETWORK

CONFIG = {
    "endpointUrl": "https://s3.eu-west-1.amazonaws.com",
    "accessId": "id-hunter2",
    "accessSecret": "secret-hunter2",
    "bucketName": "pics",
}


def at(address):
    """A guard whose every host has this address."""
    return Guard(resolve=lambda host, port: [address])


def failing(host, port):
    raise socket.gaierror(socket.EAI_NONAME, "unknown")


def problems(given, guard=None):
    with pytest.raises(InvalidRequest) as refused:
        client_bucket(given, guard or at("8.8.8.8"))
    told = json.dumps(reply_fields(refused.value)) + str(refused.value) + repr(refused.value)
    assert "hunter2" not in told
    return [(*problem.loc[1:], problem.msg) for problem in refused.value.problems]


def test_the_four_documented_keys_name_a_bucket():
    expected = Bucket("https://s3.eu-west-1.amazonaws.com", "pics", "eu-west-1", "id-hunter2", "secret-hunter2")
    assert client_bucket(CONFIG | {"region": "ignored"}, at("8.8.8.8")) == expected


def test_the_bucket_may_stand_in_the_address():
    config = {**CONFIG, "endpointUrl": "https://store.example/pics", "bucketName": ""}
    assert client_bucket(config, at("8.8.8.8")).name == "pics"


def test_everything_that_is_missing_is_named_at_once():
    assert problems({}) == [
        ("s3Config", "endpointUrl", "is required"),
        ("s3Config", "accessId", "is required"),
        ("s3Config", "accessSecret", "is required"),
    ]


@pytest.mark.parametrize("given", ["secret-hunter2", ["secret-hunter2"], 5])
def test_what_is_no_object_is_refused(given):
    assert problems(given) == [("s3Config", "must be an object")]


@pytest.mark.parametrize("field", ["endpointUrl", "accessId", "accessSecret", "bucketName"])
@pytest.mark.parametrize("value", [["hunter2"], {"hunter2": 1}, 7, None])
def test_a_value_that_is_no_text_is_refused_without_being_repeated(field, value):
    ((_, place, _),) = problems(CONFIG | {field: value})
    assert place == field


@pytest.mark.parametrize("key", ["", "two hunter2", "line\nhunter2", "ключ", "x" * 3000])
def test_keys_that_no_request_can_carry_are_refused(key):
    ((_, place, _),) = problems(CONFIG | {"accessSecret": key})
    assert place == "accessSecret"


@pytest.mark.parametrize(
    "url", ["", "ftp://store.example", "https://user:hunter2@store.example", "https://store.example?token=hunter2", "x"]
)
def test_an_address_that_is_none_is_refused(url):
    ((_, place, reason),) = problems(CONFIG | {"endpointUrl": url})
    assert place == "endpointUrl"
    assert "must be" in reason


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"])
def test_a_host_that_is_not_public_is_refused_before_any_work(address):
    assert problems(CONFIG, at(address)) == [("s3Config", "endpointUrl", "must be a host with public addresses only")]


def test_a_host_that_does_not_exist_is_refused_before_any_work():
    assert problems(CONFIG, Guard(resolve=failing)) == [
        ("s3Config", "endpointUrl", "must be a host whose name can be resolved")
    ]


def test_a_private_host_is_taken_where_the_settings_allow_it():
    config = CONFIG | {"endpointUrl": "http://127.0.0.1:9000"}
    assert client_bucket(config, Guard(private=EVERY_NETWORK)).endpoint_url == "http://127.0.0.1:9000"
