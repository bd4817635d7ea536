"""PyraCanny against recordings, the specification's numbers and its properties."""

from __future__ import annotations

import numpy as np
import pytest

from fooocus_engine.imaging.edges import pyra_canny
from tests.golden.records import OWN_RECORDS, Group

RECORDS = Group(OWN_RECORDS / "G_image_ops.json")


def checked_gradients() -> np.ndarray:
    """The picture of image-control.md §2's check values."""
    y, x = np.mgrid[:96, :128]
    return np.stack([2 * x % 256, 2 * y % 256, 255 * ((x // 16 + y // 16) % 2)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("record", [r for r in RECORDS.records if r.kind == "canny"], ids=lambda record: record.id)
def test_recorded_maps_are_met_exactly(record):
    source = record if "image" in record.png else RECORDS.record("inputs")
    thresholds = [record.settings[name] for name in ("low", "high") if name in record.settings]
    found = pyra_canny(source.picture(record.settings.get("image", "image")), *thresholds)
    assert np.array_equal(found, record.picture("out"))


def test_the_check_values_of_the_specification_are_met():
    found = pyra_canny(checked_gradients(), 64, 128)
    assert [found[place] for place in ((0, 0), (16, 40), (48, 64), (80, 100), (95, 127))] == [0, 131, 29, 102, 0]
    assert round(float(found.mean()), 4) == 51.2189


def test_thresholds_are_cut_to_whole_numbers():
    picture = checked_gradients()
    assert np.array_equal(pyra_canny(picture, 20.9, 60.9), pyra_canny(picture, 20, 60))


def test_a_picture_without_edges_gives_zeros():
    assert not pyra_canny(np.full((40, 60, 3), 130, np.uint8)).any()


def test_edges_on_less_than_a_hundredth_of_a_picture_are_still_seen():
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[100:104, 100:104] = 255
    found = pyra_canny(picture)
    assert found.max() == 255
    assert not found[:80].any()


def test_the_picture_is_left_alone():
    picture = checked_gradients()
    pyra_canny(picture)
    assert np.array_equal(picture, checked_gradients())
