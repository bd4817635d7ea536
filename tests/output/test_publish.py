"""From a finished picture to an entry of the reply."""

import base64
import io
from dataclasses import dataclass, field

import pytest
from PIL import Image

from fooocus_engine.jobs.job import Job
from fooocus_engine.output.encode import Embedded, read_metadata
from fooocus_engine.output.publish import file_name, publish, result_fields
from fooocus_engine.output.storage.base import Stored
from fooocus_engine.output.storage.inline import InlineStorage
from fooocus_engine.types import GeneratedImage, OutputSettings

OUTPUT = OutputSettings(extension="png", metadata_scheme="fooocus", name="", with_base64=False)
PICTURE = GeneratedImage(Image.new("RGB", (24, 16)), seed=2**63 - 1, index=3, metadata='{"a": 1}')


@dataclass
class Bucket:
    """A storage with addresses that keeps what it is given."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def store(self, data, *, file_name, media_type, job):
        self.kept[file_name] = data
        return Stored(file_name, url=f"https://bucket/{media_type}/{file_name}")


def published(output=OUTPUT, picture=PICTURE, storage=None):
    return publish(
        picture, output, job=Job("job-1", lambda event: None), storage=storage or InlineStorage(), software="Engine v1"
    )


def with_output(**changes):
    return OutputSettings(**{**OUTPUT.__dict__, **changes})


def test_a_picture_without_an_address_is_in_the_result():
    result = published()
    head, _, data = result.base64.partition(",")
    assert head == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (24, 16)
    assert result.url is None


@pytest.mark.parametrize("wanted", [True, False])
def test_a_picture_with_an_address_is_in_the_result_only_if_wanted(wanted):
    result = published(with_output(with_base64=wanted), storage=Bucket())
    assert result.url == "https://bucket/image/png/job-1-3.png"
    assert (result.base64 is not None) == wanted


def test_base64_and_stored_file_are_the_same_bytes():
    bucket = Bucket()
    result = published(with_output(with_base64=True), storage=bucket)
    assert base64.b64decode(result.base64.partition(",")[2]) == bucket.kept["job-1-3.png"]


def test_jpg_has_the_media_type_of_jpeg_and_keeps_its_spelling():
    result = published(with_output(extension="jpg"))
    assert result.base64.startswith("data:image/jpeg;base64,")
    assert result.file_name == "job-1-3.jpg"


def test_metadata_is_embedded_in_its_scheme():
    bucket = Bucket()
    published(storage=bucket)
    assert read_metadata(bucket.kept["job-1-3.png"]) == Embedded("fooocus", '{"a": 1}')


def test_nothing_is_embedded_without_a_scheme():
    bucket = Bucket()
    published(with_output(metadata_scheme=None), storage=bucket)
    assert read_metadata(bucket.kept["job-1-3.png"]) is None


def test_result_has_the_keys_of_the_reply():
    fields = result_fields(published(storage=Bucket()))
    assert fields == {
        "base64": None,
        "url": "https://bucket/image/png/job-1-3.png",
        "seed": "9223372036854775807",
        "finish_reason": "SUCCESS",
        "file_name": "job-1-3.png",
        "width": 24,
        "height": 16,
    }


@pytest.mark.parametrize(
    ("name", "job_id", "expected"),
    [
        ("", "sync-1a-u1", "sync-1a-u1-0.png"),
        ("my cat.v2", "j", "my cat.v2-0.png"),
        ("猫", "j", "猫-0.png"),
        ("", "../../etc/x", "______etc_x-0.png"),
        ("", "a\0b:c", "a_b_c-0.png"),
        ("", ".hidden", "_hidden-0.png"),
    ],
)
def test_files_are_named_after_the_save_name_or_the_job(name, job_id, expected):
    assert file_name(with_output(name=name), 0, job_id) == expected


def test_a_long_name_fits_a_file_system_and_ends_between_characters():
    name = file_name(with_output(name="猫" * 100), 11, "j")
    assert name == "猫" * 66 + "-11.png"  # 66 · 3 bytes ≤ 200
