"""Uploads to a real S3-compatible server, alone and behind one that fails as scripted."""

from __future__ import annotations

import logging
import random
import threading
import traceback
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from fooocus_engine.bucket import Bucket, UploadSettings
from fooocus_engine.errors import JobCanceled, StorageFailed
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.storage.boto_client import BotoClient
from fooocus_engine.output.storage.s3 import ATTEMPTS, S3Storage
from tests.output.storage import faulty
from tests.output.storage.faulty import faulty_server
from tests.s3_server import ACCESS, NAME, SECRET

PICTURE = random.Random(0).randbytes(300_000)
ANSWER_S = 5  # long enough for the real server on a busy machine; only a silent one uses it up


def storage(server, pauses=None, **settings):
    """The storage of the server's bucket, which waits for nothing between attempts."""
    uploads, bucket = UploadSettings(**settings), server.bucket()
    pause = (pauses if pauses is not None else []).append
    return S3Storage(lambda: BotoClient(bucket, uploads, answer_s=ANSWER_S), uploads, pause=pause)


def behind(server, proxy, **settings):
    """The same, by way of ``proxy``."""
    uploads, bucket = UploadSettings(**settings), server.bucket(endpoint_url=proxy.address)
    return S3Storage(lambda: BotoClient(bucket, uploads, answer_s=ANSWER_S), uploads, pause=lambda seconds: None)


def stored(storage, id, data=PICTURE, name="cat-0.png"):
    return storage.store(data, file_name=name, media_type="image/png", job=Job(id, lambda event: None))


def fetched(url, patience_s=60):
    with urllib.request.urlopen(url, timeout=patience_s) as answer:
        return answer.read(), answer.headers["Content-Type"]


def refusal_of(url):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url, timeout=60)
    refused.value.close()
    return refused.value.code


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
def test_the_address_of_a_picture_gives_its_bytes_and_its_media_type(s3, checksums):
    result = stored(storage(s3, checksums=checksums), f"job-{checksums}")
    assert fetched(result.url) == (PICTURE, "image/png")


def test_a_name_of_any_script_is_found_again(s3):
    result = stored(storage(s3), "job-猫", name="黒 猫 #1%?-0.png".replace("?", "_"))
    assert fetched(result.url)[0] == PICTURE


def test_the_same_picture_twice_is_one_object_and_a_changed_one_replaces_it(s3):
    place = storage(s3, prefix="twice")
    first, second = stored(place, "job-1"), stored(place, "job-1")
    stored(place, "job-1", b"changed")
    assert urlsplit(first.url).path == urlsplit(second.url).path
    assert {key: body for key, body in s3.objects().items() if key.startswith("twice/")} == {
        "twice/job-1/cat-0.png": b"changed"
    }


def test_an_address_tells_no_secret_and_how_long_it_holds(s3):
    url = stored(storage(s3, url_expiry_s=77), "job-expiry").url
    query = parse_qs(urlsplit(url).query)
    assert query["X-Amz-Expires"] == ["77"]
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert SECRET not in url


def test_an_address_is_refused_after_its_time_and_when_it_is_changed(s3):
    url = stored(storage(s3, url_expiry_s=3600), "job-expired").url
    day = parse_qs(urlsplit(url).query)["X-Amz-Date"][0]
    assert refusal_of(url.replace(day, f"{int(day[:4]) - 1}{day[4:]}")) in (400, 403)  # a year ago
    assert refusal_of(url.replace("X-Amz-Expires=3600", "X-Amz-Expires=604800")) in (400, 403)
    assert refusal_of(url.partition("?")[0]) in (400, 403)


@pytest.mark.parametrize(
    ("endpoint", "addressing", "expected"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "virtual", "https://pics.s3.eu-west-1.amazonaws.com/j/a%20b.png"),
        ("https://minio.local:9000", "path", "https://minio.local:9000/pics/j/a%20b.png"),
        ("https://host/storage/v1/s3", "auto", "https://host/storage/v1/s3/pics/j/a%20b.png"),
    ],
)
def test_public_addresses_follow_the_addressing_style(endpoint, addressing, expected):
    bucket = Bucket(endpoint, "pics", "eu-west-1", ACCESS, SECRET)
    assert BotoClient(bucket, UploadSettings(addressing=addressing, urls="public")).url("j/a b.png") == expected


def test_signed_addresses_name_the_bucket_in_the_host_where_that_is_the_style():
    bucket = Bucket("https://s3.eu-west-1.amazonaws.com", "pics", "eu-west-1", ACCESS, SECRET)
    url = urlsplit(BotoClient(bucket, UploadSettings(addressing="virtual")).url("k.png"))
    assert url.hostname == "pics.s3.eu-west-1.amazonaws.com"
    assert parse_qs(url.query)["X-Amz-Credential"][0].split("/")[2:] == ["eu-west-1", "s3", "aws4_request"]


@pytest.mark.parametrize(
    "faults",
    [
        [faulty.refuse(500, "InternalError"), faulty.refuse(503, "SlowDown")],
        [faulty.page(502), faulty.page(504)],
        [faulty.refuse(429, "TooManyRequests"), faulty.refuse(408, "RequestTimeout")],
        [faulty.reset, faulty.garbage, faulty.welcome],
        [faulty.corrupt],
        [faulty.silent],
    ],
    ids=["store", "gateway", "too-many", "connection", "checksum", "silence"],
)
def test_a_store_that_recovers_gets_the_whole_picture(s3, faults, request):
    id = request.node.callspec.id
    with faulty_server(s3.port, *faults) as proxy:
        result = stored(behind(s3, proxy), id)
        assert fetched(result.url)[0] == PICTURE
    assert len([visit for visit in proxy.seen if visit.startswith("PUT")]) == len(faults) + 1
    assert s3.objects()[f"{id}/cat-0.png"] == PICTURE


def test_a_store_that_stays_unwell_fails_the_job_after_all_attempts(s3):
    faults = [faulty.refuse(500, "InternalError")] * ATTEMPTS
    with faulty_server(s3.port, *faults) as proxy, pytest.raises(StorageFailed, match="500 InternalError"):
        stored(behind(s3, proxy), "unwell")
    assert len(proxy.seen) == ATTEMPTS
    assert "unwell/cat-0.png" not in s3.objects()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"secret_access_key": "another"}, "403 SignatureDoesNotMatch"),
        ({"access_key_id": "nobody"}, "403 InvalidAccessKeyId"),
        ({"name": "no-such-bucket"}, "404 NoSuchBucket"),
    ],
)
def test_what_the_real_server_refuses_is_told_by_its_code_at_once(s3, changes, reason):
    pauses, bucket = [], s3.bucket(**changes)
    place = S3Storage(lambda: BotoClient(bucket, UploadSettings()), UploadSettings(), pause=pauses.append)
    with pytest.raises(StorageFailed, match=reason):
        stored(place, "refused")
    assert pauses == []


def test_a_store_that_is_not_there_fails_the_job(s3):
    with faulty_server(s3.port) as gone:
        place = behind(s3, gone)
    with pytest.raises(StorageFailed, match="EndpointConnectionError"):
        stored(place, "gone")


@pytest.mark.parametrize(
    "fault",
    [
        faulty.refuse(403, "AccessDenied"),
        faulty.refuse(400, "<b>no code</b>"),
        faulty.refuse(500, "X" * 500),
        faulty.page(403),
    ],
)
def test_no_error_and_no_log_line_repeats_what_was_sent(s3, fault, caplog):
    caplog.set_level(logging.INFO)
    with faulty_server(s3.port, *[fault] * ATTEMPTS) as proxy, pytest.raises(StorageFailed) as failed:
        stored(behind(s3, proxy), "secrets")
    told = "".join(traceback.format_exception(failed.value)) + caplog.text + repr(failed.value)
    for secret in (ACCESS, SECRET, "AWS4-HMAC", "Signature=", proxy.address, "X" * 70, "<b>"):
        assert secret not in told


def test_a_reader_never_sees_a_part_of_a_picture(s3):
    place = storage(s3)
    url = stored(place, "half", b"the first picture").url
    with faulty_server(s3.port, *[faulty.break_behind] * ATTEMPTS) as proxy, pytest.raises(StorageFailed):
        stored(behind(s3, proxy), "half")
    assert fetched(url)[0] == b"the first picture"
    with faulty_server(s3.port, *[faulty.break_behind] * ATTEMPTS) as proxy, pytest.raises(StorageFailed):
        stored(behind(s3, proxy), "nothing")
    assert not [key for key in s3.objects() if key.startswith("nothing/")]


def test_readers_beside_a_writer_see_one_whole_picture_or_the_other(s3):
    place = storage(s3)
    # of one length: this server asks for a file's length and opens the file in two steps
    pictures = [random.Random(number).randbytes(200_000) for number in range(2)]
    url = stored(place, "beside", pictures[0]).url
    written = threading.Event()

    def write():
        for number in range(10):
            stored(place, "beside", pictures[number % 2])
        written.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not (written.is_set() and seen):
        try:  # while a file is replaced, this server at times answers 500 or not at all
            assert fetched(url, patience_s=2)[0] in pictures
            seen += 1
        except urllib.error.HTTPError as refused:
            assert refused.code == 500
            refused.close()
        except TimeoutError:
            pass
    writer.join()
    assert fetched(url)[0] == pictures[1]


def test_a_cancel_in_the_middle_of_an_upload_ends_it_and_keeps_nothing(s3):
    given_up = Job("given-up", lambda event: None)
    large = random.Random(1).randbytes(20_000_000)  # more than the sockets on the way can hold

    def cancel(visit):
        visit.body(0.1)
        given_up.cancel()
        visit.body(0.9)

    with faulty_server(s3.port, cancel) as proxy, pytest.raises(JobCanceled):
        behind(s3, proxy).store(large, file_name="a.png", media_type="image/png", job=given_up)
    assert len(proxy.seen) == 1
    assert not [key for key in s3.objects() if key.startswith("given-up/")]


def test_one_client_uploads_from_several_threads_at_a_time(s3):
    place = storage(s3, prefix="threads")
    threads = [threading.Thread(target=stored, args=(place, f"job-{n}", PICTURE + bytes([n]))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {key: body for key, body in s3.objects().items() if key.startswith("threads/")}
    assert found == {f"threads/job-{n}/cat-0.png": PICTURE + bytes([n]) for n in range(4)}


def test_values_that_make_no_client_fail_the_job_without_repeating_them():
    bucket = Bucket("https://host", NAME, "no region\n", ACCESS, SECRET)
    place = S3Storage(lambda: BotoClient(bucket, UploadSettings()), UploadSettings())
    with pytest.raises(StorageFailed) as failed:
        stored(place, "none")
    assert "no region" not in str(failed.value)
