"""Reading ahead: reads everything, never raises."""

import logging

import pytest

from fooocus_engine.models.prefetch import read_ahead, read_largest


@pytest.fixture
def told(caplog):
    """What reading ahead logs."""
    caplog.set_level(logging.DEBUG, "fooocus_engine.models.prefetch")
    return caplog


def test_a_file_is_read_to_its_end_in_the_background(tmp_path, told):
    (tmp_path / "x").write_bytes(bytes(1000))
    read_ahead(tmp_path / "x").join(60)
    assert told.messages == ["read ahead 1000 bytes of x"]


def test_a_missing_file_and_a_folder_are_no_error(tmp_path, told):
    for path in (tmp_path / "gone", tmp_path):
        read_ahead(path).join(60)
    assert [message.rpartition(": ")[2] for message in told.messages] == ["FileNotFoundError", "IsADirectoryError"]


def test_the_largest_file_of_a_folder_is_read(tmp_path, told):
    (tmp_path / "deep").mkdir()
    (tmp_path / "small").write_bytes(b"1")
    (tmp_path / "deep" / "large").write_bytes(b"12345")
    reading = read_largest(tmp_path.rglob("*"))
    assert reading is not None
    reading.join(60)
    assert told.messages == ["read ahead 5 bytes of large"]


def test_a_folder_without_files_is_no_reason_to_read(tmp_path):
    assert read_largest(tmp_path.rglob("*")) is None
    assert read_largest([tmp_path / "missing"]) is None
