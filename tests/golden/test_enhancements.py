"""With what the parts of a replayed enhancement begin."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.golden.enhancements import handed_on, part_of
from tests.golden.records import Record

RECORDED = np.full((4, 6, 3), 100, np.uint8)
MADE = RECORDED + np.uint8(1)
DATA = {"log": ["first", "second"], "n_images": 2}


@pytest.fixture
def record(tmp_path) -> Record:
    """Two parts, of whose first all of the picture is recorded, and a piece of it of the second."""
    Image.fromarray(RECORDED).save(tmp_path / "picture.png")
    group: Any = SimpleNamespace(folder=tmp_path)
    png = {"image0": "picture.png", "image1_crop_0_0_4": "picture.png"}
    return Record(group, {"outputs": {}, "png": png, "data": DATA})


def test_a_part_begins_with_the_recorded_picture_of_the_one_before(record):
    assert np.array_equal(handed_on(part_of(record, 0), MADE), RECORDED)


def test_a_part_begins_with_what_was_made_where_a_piece_of_it_is_recorded(record):
    assert handed_on(part_of(record, 1), MADE) is MADE
