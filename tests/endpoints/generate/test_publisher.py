"""The thread beside the sampling: what it tells, and that it lets go."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from fooocus_engine.endpoints.generate.publisher import Publisher
from fooocus_engine.errors import EngineError, JobCanceled, ReplyTooLarge, StorageFailed
from fooocus_engine.jobs.events import ImageReady
from fooocus_engine.jobs.job import Delivery, Job
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.output.storage.inline import InlineStorage
from tests.endpoints.asking import plan


@dataclass
class EndlessStore:
    """Hashes until it is told to give up."""

    begun: threading.Event = field(default_factory=threading.Event)

    def short_hash(self, path: Path, check: Any) -> str:
        self.begun.set()
        while True:
            check()


@dataclass
class FastStore:
    """Every file has the same hash."""

    def short_hash(self, path: Path, check: Any) -> str:
        check()
        return "0123456789"


class FullStorage:
    """Takes nothing."""

    def store(self, data: bytes, *, file_name: str, media_type: str, job: Any) -> Any:
        raise StorageFailed("full")


@dataclass
class SlowStorage:
    """Uploads until its job is given up."""

    begun: threading.Event = field(default_factory=threading.Event)

    def store(self, data: bytes, *, file_name: str, media_type: str, job: Any) -> Any:
        self.begun.set()
        while True:
            job.check()


def resources(store: object, folder: Path, storage: object = None) -> Any:
    return SimpleNamespace(catalogue=Catalogue(folder), store=store, storage=storage or InlineStorage())


def picture(made: Any) -> Any:
    return SimpleNamespace(task=made.images[0], expansion="", image=Image.new("RGB", (8, 8)), blacked_out=False)


@pytest.fixture
def made(tmp_path):
    return plan(Catalogue(tmp_path), "starter", prompt="a cat")


def test_each_picture_is_told_when_it_is_stored(made, tmp_path):
    events: list[Any] = []
    with Publisher(made, resources(FastStore(), tmp_path), Job("j", events.append)) as publisher:
        for _ in range(2):
            publisher.add(picture(made))
        results = publisher.results()
    assert [result.file_name for result in results] == ["j-0.png", "j-0.png"]  # the same task twice
    assert events == [ImageReady(0, "j-0.png"), ImageReady(1, "j-0.png")]


def test_an_error_beside_it_ends_the_hashing(made, tmp_path):
    store, events = EndlessStore(), []
    with pytest.raises(EngineError), Publisher(made, resources(store, tmp_path), Job("j", events.append)) as publisher:
        publisher.add(picture(made))
        assert store.begun.wait(10)
        raise EngineError("sampling failed")
    assert events == []


def test_a_cancel_ends_the_wait_for_the_hashes(made, tmp_path):
    store, job = EndlessStore(), Job("j", lambda event: None)
    with pytest.raises(JobCanceled), Publisher(made, resources(store, tmp_path), job) as publisher:
        publisher.add(picture(made))
        assert store.begun.wait(10)
        job.cancel()
        publisher.results()


def test_a_picture_that_cannot_be_stored_ends_the_job_before_the_rest_is_made(made, tmp_path):
    kept: Any = resources(FastStore(), tmp_path, FullStorage())
    with pytest.raises(StorageFailed), Publisher(made, kept, Job("j", lambda event: None)) as publisher:
        publisher.add(picture(made))
        with pytest.raises(StorageFailed):
            publisher.results()
        publisher.add(picture(made))
        pytest.fail("another picture was taken")


@pytest.mark.parametrize(("most", "taken"), [(None, 3), (10_000, 3), (100, 1)])
def test_pictures_that_do_not_fit_into_the_reply_end_the_job_before_the_rest_is_made(made, tmp_path, most, taken):
    job, number = Job("j", lambda event: None, delivery=Delivery(reply_bytes=most)), 0
    with contextlib.suppress(ReplyTooLarge), Publisher(made, resources(FastStore(), tmp_path), job) as publisher:
        for _ in range(3):
            publisher.add(picture(made))
            publisher.results()
            number += 1
    assert number == taken


@pytest.mark.parametrize("cancel", [True, False])
def test_an_upload_ends_when_its_job_is_given_up_or_fails_beside_it(made, tmp_path, cancel):
    storage, job = SlowStorage(), Job("j", lambda event: None)
    expected = JobCanceled if cancel else EngineError
    with pytest.raises(expected), Publisher(made, resources(FastStore(), tmp_path, storage), job) as publisher:
        publisher.add(picture(made))
        assert storage.begun.wait(10)
        if cancel:
            job.cancel()
            publisher.results()
        raise EngineError("sampling failed")
