"""The storage before any store: keys, attempts, pauses, cancels. The client is a fake that answers as scripted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import md5

import pytest

from fooocus_engine.bucket import UploadSettings
from fooocus_engine.errors import JobCanceled, StorageFailed
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.storage.s3 import ATTEMPTS, FIRST_PAUSE_S, S3Storage, UploadFailed, WatchedBody

UNWELL = UploadFailed("the store answered 503", passing=True)
FORBIDDEN = UploadFailed("the store answered 403 AccessDenied", passing=False)


@dataclass
class Store:
    """Fails as scripted, one error per upload, and keeps what comes after that."""

    failures: list[UploadFailed] = field(default_factory=list)
    kept: dict[str, tuple[bytes, str, bytes]] = field(default_factory=dict)

    def put(self, parcel):
        body = parcel.body.read()
        if self.failures:
            raise self.failures.pop(0)
        self.kept[parcel.key] = (body, parcel.media_type, parcel.md5)

    def url(self, key):
        return f"https://store/{key}"


def job(id="job-1"):
    return Job(id, lambda event: None)


def stored(store, job=None, *, name="cat-0.png", pause=lambda seconds: None, uploads=None):
    storage = S3Storage(lambda: store, uploads or UploadSettings(), pause=pause)
    return storage.store(
        b"picture", file_name=name, media_type="image/png", job=job or Job("job-1", lambda event: None)
    )


def test_a_picture_is_kept_whole_under_the_key_of_its_job_and_told_by_its_address():
    store = Store()
    result = stored(store)
    assert store.kept == {"job-1/cat-0.png": (b"picture", "image/png", md5(b"picture").digest())}
    assert (result.url, result.file_name, result.path) == ("https://store/job-1/cat-0.png", "cat-0.png", None)


def test_a_job_that_runs_again_overwrites_its_picture():
    store = Store()
    assert stored(store) == stored(store)
    assert len(store.kept) == 1


def test_two_jobs_with_one_name_have_two_pictures():
    store = Store()
    for id in ("a", "b"):
        stored(store, job(id))
    assert list(store.kept) == ["a/cat-0.png", "b/cat-0.png"]


def test_an_id_from_outside_cannot_leave_its_folder():
    store = Store()
    stored(store, job("../../etc"))
    (key,) = store.kept
    assert key == "______etc/cat-0.png"


@pytest.mark.parametrize("name", ["../x.png", "a/b.png", "", ".x", "a\0.png"])
def test_names_that_are_not_plain_are_refused_before_a_store_is_asked(name):
    store = Store()
    with pytest.raises(StorageFailed, match="file name"):
        stored(store, name=name)
    assert store.kept == {}


def test_a_key_that_no_store_takes_is_refused_with_what_to_change():
    with pytest.raises(StorageFailed, match="save_name"):
        stored(Store(), uploads=UploadSettings(prefix="p" * 1024))


def test_a_passing_failure_is_tried_again_after_pauses_that_grow():
    pauses = []
    store = Store([UNWELL] * (ATTEMPTS - 1))
    stored(store, pause=pauses.append)
    assert len(store.kept) == 1
    longest = FIRST_PAUSE_S * (2 ** (ATTEMPTS - 1) - 1)
    assert longest / 2 <= sum(pauses) <= longest


def test_every_attempt_sends_the_whole_picture():
    store = Store([UNWELL, UNWELL])
    stored(store)
    assert store.kept["job-1/cat-0.png"][0] == b"picture"


def test_after_the_last_attempt_the_job_fails_with_the_reason():
    store = Store([UNWELL] * ATTEMPTS)
    with pytest.raises(StorageFailed, match="could not be stored in the bucket: the store answered 503"):
        stored(store)
    assert store.failures == []


def test_a_lasting_failure_is_not_tried_again():
    store = Store([FORBIDDEN, UNWELL])
    with pytest.raises(StorageFailed, match="403 AccessDenied"):
        stored(store)
    assert store.failures == [UNWELL]


def test_a_client_that_cannot_be_made_fails_the_job_and_is_made_anew_for_the_next():
    clients = [UploadFailed("no client", passing=False), Store()]

    def connect():
        client = clients.pop(0)
        if isinstance(client, UploadFailed):
            raise client
        return client

    storage = S3Storage(connect, UploadSettings())
    with pytest.raises(StorageFailed, match="no client"):
        storage.store(b"x", file_name="a.png", media_type="image/png", job=job())
    assert storage.store(b"x", file_name="a.png", media_type="image/png", job=job()).url


def test_a_cancel_during_a_pause_ends_it():
    given_up = job()

    def pause(seconds):
        given_up.cancel()

    store = Store([UNWELL, UNWELL])
    with pytest.raises(JobCanceled):
        stored(store, given_up, pause=pause)
    assert store.failures == [UNWELL]


def test_a_job_given_up_before_uploads_nothing():
    given_up, store = job(), Store()
    given_up.cancel()
    with pytest.raises(JobCanceled):
        stored(store, given_up)
    assert store.kept == {}


def test_a_cancel_that_a_client_wraps_is_still_a_cancel():
    given_up = job()

    class Wrapping(Store):
        def put(self, parcel):
            given_up.cancel()
            raise UploadFailed("no proper answer", passing=True)

    with pytest.raises(JobCanceled):
        stored(Wrapping(), given_up)


def test_a_body_cannot_be_read_on_once_its_job_is_given_up():
    given_up = job()
    body = WatchedBody(b"abcdef", given_up)
    assert body.read(3) == b"abc"
    given_up.cancel()
    with pytest.raises(JobCanceled):
        body.read(3)


def test_one_client_serves_all_threads_and_is_made_with_the_first_picture():
    made, meeting = [], threading.Barrier(4, timeout=10)

    def connect():
        made.append(Store())
        return made[-1]

    storage = S3Storage(connect, UploadSettings())
    assert made == []

    def one(number):
        meeting.wait()
        storage.store(b"x", file_name=f"{number}.png", media_type="image/png", job=job())

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, range(4)))
    assert len(made) == 1
    assert len(made[0].kept) == 4
