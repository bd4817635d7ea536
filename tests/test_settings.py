"""Settings from a given environment."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from fooocus_engine.bucket import Bucket, UploadSettings
from fooocus_engine.settings import (
    EVERY_NETWORK,
    BadSetting,
    Settings,
    environment_with,
    settings_from_environment,
)


def test_an_empty_environment_gives_the_defaults():
    default = Settings(volume_dir=Path("/runpod-volume"))
    assert settings_from_environment({}) == default
    assert settings_from_environment({"FOOOCUS_DEVICE": "", "PREVIEW": ""}) == default


def test_several_folders_of_models_may_be_named_and_then_no_other_is_looked_at():
    found = settings_from_environment({"FOOOCUS_MODELS_DIR": "/a:/b::/c", "FOOOCUS_VOLUME_DIR": "/v"})
    assert (found.models_dir, found.more_models_dirs) == (Path("/a"), (Path("/b"), Path("/c")))
    assert found.volume_dir is None
    assert settings_from_environment({"FOOOCUS_VOLUME_DIR": "/v"}).volume_dir == Path("/v")


def test_every_variable_is_read():
    found = settings_from_environment(
        {
            "FOOOCUS_MODELS_DIR": "/m", "FOOOCUS_OUTPUTS_DIR": "/o", "FOOOCUS_DEVICE": "CPU",
            "FOOOCUS_DTYPE": "float16", "FOOOCUS_PRESET": "anime", "FOOOCUS_STORAGE": "folder", "FOOOCUS_SLOTS": "3",
            "FOOOCUS_MAX_LORAS": "7", "PREVIEW": "off", "FOOOCUS_PREVIEW_INTERVAL": "0.5",
            "FOOOCUS_IMAGE_PROMPT_ATTENTION": "separate", "FOOOCUS_ALLOW_PRIVATE_URLS": "10.0.0.0/8, fd00::/8",
            "BUCKET_ENDPOINT_URL": "https://store", "BUCKET_ACCESS_KEY_ID": "id",
            "BUCKET_SECRET_ACCESS_KEY": "secret\n", "BUCKET_NAME": "pics", "BUCKET_REGION": "auto",
            "BUCKET_PREFIX": "/a/b/", "BUCKET_KEY_TEMPLATE": "{job_id}-{file_name}", "BUCKET_ADDRESSING": "path",
            "BUCKET_CHECKSUMS": "when_supported", "BUCKET_URLS": "public", "BUCKET_URL_EXPIRY": "60",
            "FOOOCUS_DATA_DIR": "/d", "RUNPOD_API_KEY": "k",
            "FOOOCUS_PROGRESS_INTERVAL": "2", "FOOOCUS_MIN_FREE_GB": "3",
        }
    )  # fmt: skip
    assert found == Settings(
        models_dir=Path("/m"),
        outputs_dir=Path("/o"),
        device="cpu",
        dtype="float16",
        preset="anime",
        storage="folder",
        bucket=Bucket("https://store", "pics", "auto", "id", "secret"),
        uploads=UploadSettings("a/b", "{job_id}-{file_name}", "path", "when_supported", "public", 60),
        private_urls=(ip_network("10.0.0.0/8"), ip_network("fd00::/8")),
        data_dir=Path("/d"),
        api_key="k",
        slots=3,
        max_loras=7,
        preview=False,
        preview_interval_s=0.5,
        progress_interval_s=2.0,
        min_free_gb=3.0,
        image_prompt_attention="separate",
    )


@pytest.mark.parametrize(("value", "networks"), [("on", EVERY_NETWORK), ("off", ()), ("", ())])
def test_private_addresses_are_allowed_as_a_whole_or_not_at_all(value, networks):
    assert settings_from_environment({"FOOOCUS_ALLOW_PRIVATE_URLS": value}).private_urls == networks


BUCKET = {
    "BUCKET_ENDPOINT_URL": "https://pics.s3.eu-west-1.amazonaws.com",
    "BUCKET_ACCESS_KEY_ID": "id-hunter2",
    "BUCKET_SECRET_ACCESS_KEY": "secret-hunter2",
}


def test_a_bucket_is_used_when_there_is_one_and_no_other_storage_is_named():
    assert settings_from_environment(BUCKET).storage == "s3"
    assert settings_from_environment(BUCKET | {"FOOOCUS_STORAGE": "inline"}).storage == "inline"
    assert settings_from_environment({}).storage == "inline"


def test_a_bucket_in_the_address_needs_no_name():
    bucket = settings_from_environment(BUCKET).bucket
    assert bucket is not None
    assert (bucket.name, bucket.endpoint_url) == ("pics", "https://s3.eu-west-1.amazonaws.com")


def test_settings_with_a_bucket_are_printed_without_its_keys():
    assert "hunter2" not in repr(settings_from_environment(BUCKET))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"BUCKET_SECRET_ACCESS_KEY": ""}, "BUCKET_SECRET_ACCESS_KEY must be set too"),
        ({"BUCKET_ENDPOINT_URL": " ", "BUCKET_ACCESS_KEY_ID": ""}, "BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID must"),
        ({"BUCKET_ENDPOINT_URL": "https://user:hunter2@store"}, "without user"),
        ({"BUCKET_ENDPOINT_URL": "https://store"}, "must name the bucket"),
        ({"BUCKET_NAME": "a/b"}, "1 to 255 letters"),
    ],
)
def test_a_bucket_that_is_half_told_is_refused_without_repeating_its_keys(changes, told):
    with pytest.raises(BadSetting, match=told) as refused:
        settings_from_environment(BUCKET | changes)
    assert "hunter2" not in str(refused.value)


def test_the_key_is_not_shown():
    assert "secret" not in repr(settings_from_environment({"RUNPOD_API_KEY": "secret"}))


def test_a_process_that_is_started_gets_this_ones_variables_changed(monkeypatch):
    monkeypatch.setenv("KEPT", "1")
    monkeypatch.setenv("REMOVED", "1")
    found = environment_with({"ADDED": "2", "REMOVED": None})
    assert (found["KEPT"], found["ADDED"], "REMOVED" in found) == ("1", "2", False)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("FOOOCUS_DEVICE", "tpu", "auto, cpu, cuda, mps"),
        ("FOOOCUS_DTYPE", "int8", "float16"),
        ("FOOOCUS_STORAGE", "cloud", "inline, folder, s3"),
        ("FOOOCUS_STORAGE", "s3", "BUCKET_ENDPOINT_URL"),
        ("FOOOCUS_ALLOW_PRIVATE_URLS", "10.0.0.7/8", "on, off, or networks"),
        ("BUCKET_PREFIX", "a/../b", "relative path"),
        ("BUCKET_KEY_TEMPLATE", "{date}", "{job_id} and {file_name}"),
        ("BUCKET_ADDRESSING", "host", "auto, path, virtual"),
        ("BUCKET_CHECKSUMS", "never", "when_required, when_supported"),
        ("BUCKET_URLS", "secret", "presigned, public"),
        ("BUCKET_URL_EXPIRY", "604801", "from 1 to 604800"),
        ("FOOOCUS_SLOTS", "0", "from 1 to 16"),
        ("FOOOCUS_SLOTS", "1.5", "whole numbers"),
        ("FOOOCUS_IMAGE_PROMPT_ATTENTION", "none", "joint, separate"),
        ("FOOOCUS_MAX_LORAS", "many", "from 0 to 100"),
        ("FOOOCUS_PREVIEW_INTERVAL", "nan", "from 0 to 3600"),
        ("FOOOCUS_PROGRESS_INTERVAL", "-1", "from 0 to 3600"),
        ("FOOOCUS_MIN_FREE_GB", "1001", "from 0 to 1000"),
        ("PREVIEW", "maybe", "on, off"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(name, value, allowed):
    with pytest.raises(BadSetting) as refused:
        settings_from_environment({name: value})
    message = str(refused.value)
    assert name in message
    assert value in message
    assert allowed in message
