"""What stops a bad worker before its first job."""

import os

import pytest

from fooocus_engine.errors import BadModelFile
from fooocus_engine.settings import Settings
from fooocus_engine.worker.checks import GB, Unfit, fitness_checks


class Engine:
    """As healthy as it is made."""

    def __init__(self, *, error=None, free=None):
        self._error, self._free = error, free

    def load_default(self):
        if self._error:
            raise self._error
        return "model"

    def free_device_bytes(self):
        return self._free


def check(name, settings, engine=None):
    checks = {check.__name__: check for check in fitness_checks(settings, engine or Engine())}
    assert list(checks) == ["models", "device_memory", "write_access"]
    checks[name]()


def test_a_default_folder_of_models_need_not_be_there():
    check("models", Settings())


def test_a_folder_of_models_that_was_named_must_be_there(tmp_path):
    check("models", Settings(models_dir=tmp_path))
    with pytest.raises(Unfit, match=r"FOOOCUS_MODELS_DIR.*missing"):
        check("models", Settings(models_dir=tmp_path / "missing"))
    with pytest.raises(Unfit, match=r"FOOOCUS_MODELS_DIR.*missing"):
        check("models", Settings(models_dir=tmp_path, more_models_dirs=(tmp_path / "missing",)))


def test_models_that_cannot_be_used_are_told_by_their_own_error():
    with pytest.raises(BadModelFile, match="half a file"):
        check("models", Settings(), Engine(error=BadModelFile("half a file")))


@pytest.mark.parametrize("free", [None, 2 * GB, 3 * GB])
def test_enough_device_memory_or_none_of_its_own_is_fit(free):
    check("device_memory", Settings(min_free_gb=2), Engine(free=free))


def test_too_little_device_memory_is_told_with_both_numbers():
    with pytest.raises(Unfit, match=r"1\.99 GB.*FOOOCUS_MIN_FREE_GB wants 2$"):
        check("device_memory", Settings(min_free_gb=2), Engine(free=1_990_000_000))


def test_the_folder_of_pictures_is_made_and_left_empty(tmp_path):
    check("write_access", Settings(storage="folder", outputs_dir=tmp_path / "new"))
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_nothing_stores_into_is_not_looked_at(tmp_path):
    (tmp_path / "file").write_text("")
    check("write_access", Settings(storage="inline", outputs_dir=tmp_path / "file"))
    with pytest.raises(Unfit, match="cannot write into"):
        check("write_access", Settings(storage="folder", outputs_dir=tmp_path / "file"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_access_is_unfit(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(Unfit, match="Permission denied"):
        check("write_access", Settings(storage="folder", outputs_dir=tmp_path))
