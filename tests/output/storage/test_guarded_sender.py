"""Uploads to a store whose address a client chose: the same as to any other, but only to where the guard lets them."""

from __future__ import annotations

import io
import random
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.awsrequest import AWSRequest
from botocore.exceptions import HTTPClientError

from fooocus_engine.bucket import UploadSettings
from fooocus_engine.errors import JobCanceled, StorageFailed
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.storage.boto_client import BotoClient
from fooocus_engine.output.storage.guarded_sender import GuardedSender
from fooocus_engine.output.storage.s3 import ATTEMPTS, S3Storage
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import EVERY_NETWORK
from tests.certificates import self_signed, server_context
from tests.output.storage import faulty
from tests.output.storage.faulty import faulty_server
from tests.output.storage.test_boto_client import ANSWER_S, PICTURE, fetched, stored

ANYWHERE = Guard(private=EVERY_NETWORK)


def storage(bucket, guard, **settings):
    uploads = UploadSettings(**settings)
    client = lambda: BotoClient(bucket, uploads, guard=guard, answer_s=ANSWER_S)  # noqa: E731
    return S3Storage(client, uploads, pause=lambda seconds: None)


@pytest.mark.parametrize("checksums", ["when_required", "when_supported"])
def test_an_allowed_store_gets_the_whole_picture(s3, checksums):
    result = stored(storage(s3.bucket(), ANYWHERE, checksums=checksums), f"guarded-{checksums}")
    assert fetched(result.url) == (PICTURE, "image/png")


def test_a_store_on_this_machine_is_refused_and_hears_nothing(s3):
    with faulty_server(s3.port) as proxy:
        with pytest.raises(StorageFailed, match="not public"):
            stored(storage(s3.bucket(endpoint_url=proxy.address), Guard()), "refused")
        assert proxy.seen == []


def test_a_name_that_turns_private_after_it_was_allowed_is_refused(s3):
    with faulty_server(s3.port) as proxy:
        guard = Guard(resolve=lambda host, port: ["127.0.0.1"])
        bucket = s3.bucket(endpoint_url=f"http://store.example:{proxy.server_port}")
        with pytest.raises(StorageFailed, match="not public"):
            stored(storage(bucket, guard), "rebound")
        assert proxy.seen == []


def test_the_bucket_in_the_host_name_is_resolved_and_checked_too(s3):
    asked = []

    def resolve(host, port):
        asked.append(host)
        return ["10.0.0.1"]

    with pytest.raises(StorageFailed, match="not public"):
        stored(
            storage(s3.bucket(endpoint_url="https://store.example"), Guard(resolve=resolve), addressing="virtual"), "j"
        )
    assert asked == ["pictures.store.example"]


@pytest.mark.parametrize(
    "fault",
    [faulty.refuse(503, "SlowDown"), faulty.page(502), faulty.reset, faulty.garbage, faulty.corrupt, faulty.silent],
)
def test_an_allowed_store_that_recovers_gets_the_picture(s3, fault):
    with faulty_server(s3.port, fault) as proxy:
        result = stored(storage(s3.bucket(endpoint_url=proxy.address), ANYWHERE), "recovered")
        assert fetched(result.url)[0] == PICTURE


def test_an_answer_without_end_is_cut(s3):
    def endless(visit):
        visit.body()
        visit.send_response_only(500)
        visit.end_headers()
        visit.close_connection = True
        while not visit.server.released.is_set():
            visit.wfile.write(b"<Error>" * 1000)

    with faulty_server(s3.port, *[endless] * ATTEMPTS) as proxy, pytest.raises(StorageFailed):
        stored(storage(s3.bucket(endpoint_url=proxy.address), ANYWHERE), "endless")


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"])
def test_an_answer_that_trickles_ends_with_the_time_of_the_whole(s3, begun):
    def trickle(visit):
        visit.wfile.write(begun)
        while not visit.server.released.wait(0.01):
            visit.wfile.write(b"H")

    with faulty_server(s3.port, trickle) as proxy:
        sender = GuardedSender(ANYWHERE, connect_s=10, answer_s=600, whole_s=0.5)
        with pytest.raises(HTTPClientError):
            sender(AWSRequest("GET", proxy.address).prepare())


def test_a_cancel_in_the_middle_of_an_upload_ends_it(s3):
    given_up = Job("given-up-2", lambda event: None)
    large = random.Random(1).randbytes(20_000_000)

    def cancel(visit):
        visit.body(0.1)
        given_up.cancel()
        visit.body(0.9)

    with faulty_server(s3.port, cancel) as proxy, pytest.raises(JobCanceled):
        place = storage(s3.bucket(endpoint_url=proxy.address), ANYWHERE)
        place.store(large, file_name="a.png", media_type="image/png", job=given_up)
    assert len(proxy.seen) == 1


def test_a_store_without_a_trusted_certificate_gets_no_request(s3, tmp_path):
    with faulty_server(s3.port) as proxy:
        proxy.socket = server_context(self_signed(tmp_path, "127.0.0.1")).wrap_socket(proxy.socket, server_side=True)
        bucket = s3.bucket(endpoint_url=proxy.address.replace("http", "https"))
        with pytest.raises(StorageFailed, match="no proper answer"):
            stored(storage(bucket, ANYWHERE), "tls")
        assert proxy.seen == []


def test_a_body_in_chunks_is_sent_in_chunks():
    """As botocore sends a body over TLS with a checksum behind it."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as thread:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/b/k"
        request = AWSRequest("PUT", url, {"Transfer-Encoding": "chunked"}, io.BytesIO(b"picture")).prepare()
        answer = thread.submit(GuardedSender(ANYWHERE, connect_s=10, answer_s=10), request)
        connection, _ = server.accept()
        with connection, connection.makefile("rwb") as stream:
            while stream.readline() != b"\r\n":
                continue
            assert stream.read(17) == b"7\r\npicture\r\n0\r\n\r\n"
            stream.write(b"HTTP/1.1 204 Done\r\n\r\n")
        assert answer.result().status_code == 204
