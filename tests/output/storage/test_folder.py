"""Pictures in dated folders."""

import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pytest

from fooocus_engine.errors import StorageFailed
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.storage.folder import FolderStorage

DAY = date(2026, 8, 1)
ROOT = Path(__file__).parents[3]


def stored(root, data=b"one", name="job-a-0.png", job_id="job-a"):
    return FolderStorage(root, lambda: DAY).store(
        data, file_name=name, media_type="image/png", job=Job(job_id, lambda event: None)
    )


def files(root):
    return {path.name: path.read_bytes() for path in (root / "files" / "2026-08-01").iterdir()}


def test_a_picture_lies_in_the_folder_of_its_day(tmp_path):
    result = stored(tmp_path)
    assert result.path == tmp_path / "files" / "2026-08-01" / "job-a-0.png"
    assert (result.file_name, result.url) == ("job-a-0.png", None)
    assert files(tmp_path) == {"job-a-0.png": b"one"}


def test_a_job_that_runs_again_overwrites_itself(tmp_path):
    stored(tmp_path, b"one")
    assert stored(tmp_path, b"two").file_name == "job-a-0.png"
    assert files(tmp_path) == {"job-a-0.png": b"two"}


def test_a_name_taken_by_another_job_gets_the_mark_of_the_second(tmp_path):
    stored(tmp_path, b"one", "cat-0.png", "11111111-aaaa")
    result = stored(tmp_path, b"two", "cat-0.png", "22222222-bbbb")
    assert result.file_name == "cat_22222222-0.png"
    assert files(tmp_path) == {"cat-0.png": b"one", "cat_22222222-0.png": b"two"}


def test_the_same_picture_under_the_same_name_is_kept_once(tmp_path):
    stored(tmp_path, b"one", "cat-0.png", "11111111-aaaa")
    assert stored(tmp_path, b"one", "cat-0.png", "11111111-aaaa").file_name == "cat-0.png"
    assert files(tmp_path) == {"cat-0.png": b"one"}


def test_a_mark_is_set_before_the_last_dash_only_and_holds_safe_characters(tmp_path):
    stored(tmp_path, b"one", "my-cat-10.png", "a")
    result = stored(tmp_path, b"two", "my-cat-10.png", "../b")
    assert result.file_name == "my-cat____b-10.png"


@pytest.mark.parametrize("name", ["", ".", "..", "../x.png", "a/b.png", "a\\b.png", "a\0.png", ".x", "a..b", "x" * 300])
def test_names_that_could_leave_the_folder_are_refused(tmp_path, name):
    with pytest.raises(StorageFailed):
        stored(tmp_path, name=name)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_tells_no_path(tmp_path):
    (tmp_path / "files").write_bytes(b"in the way")
    with pytest.raises(StorageFailed) as failed:
        stored(tmp_path)
    assert str(tmp_path) not in str(failed.value)


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "files" / "2026-08-01"
    (folder / "job-a-0.png").mkdir(parents=True)  # a folder cannot be replaced by a file
    with pytest.raises(StorageFailed):
        stored(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["job-a-0.png"]


@contextmanager
def nearly_full_disk():
    """Lets no file grow past four bytes; the log of the tests is one too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_told_and_leaves_no_part_of_a_picture(tmp_path):
    with nearly_full_disk(), pytest.raises(StorageFailed, match="could not be stored"):
        stored(tmp_path, b"too long", "cat-0.png")
    assert files(tmp_path) == {}


KILLED_WHILE_WRITING = """
import resource, signal, sys
from pathlib import Path
from types import SimpleNamespace
from fooocus_engine.output.storage.folder import FolderStorage
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4))
job = SimpleNamespace(id="job-a")
FolderStorage(Path(sys.argv[1])).store(b"too long", file_name="cat-0.png", media_type="image/png", job=job)
"""


def test_a_process_that_is_killed_while_it_writes_leaves_no_file_by_the_pictures_name(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, str(tmp_path)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGXFSZ
    (folder,) = (tmp_path / "files").iterdir()
    assert [path.suffix for path in folder.iterdir()] == [".part"]


def test_a_file_system_without_links_gives_every_jobs_picture_its_mark(tmp_path):
    def link(file, path):
        raise PermissionError(1, "Operation not permitted")

    storage = FolderStorage(tmp_path, lambda: DAY, link)
    for data in (b"one", b"two"):  # the job runs again
        job = Job("11111111-aaaa", lambda event: None)
        stored = storage.store(data, file_name="cat-0.png", media_type="image/png", job=job)
        assert stored.file_name == "cat_11111111-0.png"
    assert files(tmp_path) == {"cat_11111111-0.png": b"two"}
