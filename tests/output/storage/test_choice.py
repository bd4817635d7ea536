"""Which storage the settings choose."""

from datetime import date

from fooocus_engine.jobs.job import Job
from fooocus_engine.output.storage import open_storage
from fooocus_engine.output.storage.base import Stored
from fooocus_engine.settings import Settings


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
