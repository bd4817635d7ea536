"""Which storage the settings choose."""

import subprocess
import sys
from dataclasses import replace
from datetime import date

import pytest

from fooocus_engine.bucket import Bucket
from fooocus_engine.errors import StorageFailed
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.storage import MAX_OPEN, ClientBuckets, open_storage
from fooocus_engine.output.storage.base import Stored
from fooocus_engine.output.storage.s3 import S3Storage
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import Settings
from tests.output.storage.test_boto_client import stored

BUCKET = Bucket("https://store.example", "pics", "auto", "id", "secret")


def test_inline_storage_keeps_nothing(tmp_path):
    storage = open_storage(Settings(outputs_dir=tmp_path, storage="inline"))
    assert storage.store(b"x", file_name="a-0.png", media_type="image/png", job=Job("a", lambda event: None)) == Stored(
        "a-0.png"
    )
    assert list(tmp_path.iterdir()) == []


def test_folder_storage_writes_below_the_outputs_folder_on_the_day_of_the_clock(tmp_path):
    storage = open_storage(Settings(outputs_dir=tmp_path, storage="folder"), today=lambda: date(2025, 1, 2))
    stored = storage.store(b"x", file_name="a-0.png", media_type="image/png", job=Job("a", lambda event: None))
    assert stored.path == tmp_path / "files" / "2025-01-02" / "a-0.png"


def test_a_bucket_takes_pictures_and_the_reply_tells_where(s3):
    storage = open_storage(Settings(storage="s3", bucket=s3.bucket()))
    result = stored(storage, "chosen", b"x")
    assert result.url.startswith(f"{s3.address}/pictures/chosen/cat-0.png?")
    assert result.path is None


def test_a_bucket_of_a_job_is_opened_once():
    buckets = ClientBuckets(Settings(), Guard())
    first = buckets.storage(BUCKET)
    assert isinstance(first, S3Storage)
    assert buckets.storage(replace(BUCKET)) is first
    assert buckets.storage(replace(BUCKET, secret_access_key="other")) is not first


def test_of_many_buckets_the_longest_unused_is_let_go():
    buckets = ClientBuckets(Settings(), Guard())
    opened = [buckets.storage(replace(BUCKET, name=f"b{number}")) for number in range(MAX_OPEN)]
    assert buckets.storage(replace(BUCKET, name="b0")) is opened[0]
    buckets.storage(BUCKET)
    assert buckets.storage(replace(BUCKET, name="b0")) is opened[0]
    assert buckets.storage(replace(BUCKET, name="b1")) is not opened[1]


def test_a_bucket_of_a_job_is_guarded_and_the_servers_own_is_not(s3):
    settings = Settings(storage="s3", bucket=s3.bucket())
    with pytest.raises(StorageFailed, match="not public"):
        stored(ClientBuckets(settings, Guard()).storage(s3.bucket()), "guarded", b"x")
    assert stored(open_storage(settings), "own", b"x").url


def test_choosing_a_bucket_loads_no_library_before_the_first_picture():
    code = (
        "import sys\n"
        "from fooocus_engine.bucket import Bucket\n"
        "from fooocus_engine.output.storage import open_storage\n"
        "from fooocus_engine.settings import Settings\n"
        "bucket = Bucket('https://s', 'b', 'auto', 'i', 's')\n"
        "open_storage(Settings(storage='s3', bucket=bucket))\n"
        "sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
