"""CPDS against recordings, the specification's numbers and its properties."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.imaging.depth_lines import cpds
from tests.golden.records import OWN_RECORDS, Group
from tests.imaging.test_edges import checked_gradients

RECORDS = Group(OWN_RECORDS / "G_image_ops.json")


@pytest.mark.parametrize("record", [r for r in RECORDS.records if r.kind == "cpds"], ids=lambda record: record.id)
def test_recorded_structures_are_met_exactly(record):
    picture = Image.fromarray(RECORDS.record("inputs").picture(record.settings["image"])).convert("RGB")
    assert np.array_equal(cpds(np.asarray(picture)), record.picture("out"))


def test_the_check_values_of_the_specification_are_met():
    found = cpds(checked_gradients())
    assert [found[place] for place in ((0, 0), (16, 40), (48, 64), (80, 100), (95, 127))] == [0, 174, 64, 123, 142]
    assert round(float(found.mean()), 4) == 110.4007


def test_a_flat_picture_gives_zeros():
    assert not cpds(np.full((40, 60, 3), 130, np.uint8)).any()


def test_colours_of_equal_lightness_are_kept_apart():
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :32], picture[:, 32:] = (200, 60, 60), (60, 134, 60)  # luma 101.9 and 103.4
    found = cpds(picture)
    assert abs(int(found[32, 8]) - int(found[32, 56])) > 100


def test_the_picture_is_left_alone():
    picture = checked_gradients()
    cpds(picture)
    assert np.array_equal(picture, checked_gradients())
