"""Reading ahead: reads everything, can be stopped, never raises."""

from fooocus_engine.models.prefetch import Prefetch, read_largest


def test_a_file_is_read_to_its_end(tmp_path):
    (tmp_path / "x").write_bytes(bytes(1000))
    prefetch = Prefetch(tmp_path / "x").start()
    assert prefetch.wait(60)
    assert prefetch.bytes_read == 1000


def test_a_missing_file_and_a_folder_are_no_error(tmp_path):
    for path in (tmp_path / "gone", tmp_path):
        prefetch = Prefetch(path).start()
        assert prefetch.wait(60)
        assert prefetch.bytes_read == 0


def test_a_stopped_one_reads_nothing_more(tmp_path):
    (tmp_path / "x").write_bytes(bytes(1000))
    prefetch = Prefetch(tmp_path / "x")
    prefetch.stop()
    assert prefetch.start().wait(60)
    assert prefetch.bytes_read == 0


def test_starting_twice_reads_once(tmp_path):
    (tmp_path / "x").write_bytes(bytes(1000))
    prefetch = Prefetch(tmp_path / "x").start().start()
    assert prefetch.wait(60)
    assert prefetch.start().bytes_read == 1000


def test_waiting_for_one_that_never_started_returns_at_once(tmp_path):
    assert Prefetch(tmp_path / "x").wait(0)


def test_the_largest_file_of_a_folder_is_read(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "small").write_bytes(b"1")
    (tmp_path / "deep" / "large").write_bytes(b"12345")
    prefetch = read_largest(tmp_path)
    assert prefetch is not None
    assert prefetch.wait(10)
    assert prefetch.bytes_read == 5


def test_a_folder_without_files_is_no_reason_to_read(tmp_path):
    assert read_largest(tmp_path) is None
    assert read_largest(tmp_path / "missing") is None
