"""Reading ahead: reads everything, can be stopped, never raises."""

from fooocus_engine.models.prefetch import Prefetch


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
