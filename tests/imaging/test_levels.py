"""Grey levels from percentile to percentile."""

from __future__ import annotations

import numpy as np

from fooocus_engine.imaging.levels import stretched


def test_the_percentiles_come_to_lie_at_black_and_white_and_fractions_are_dropped():
    plane = np.arange(101, dtype=np.float32)[None]  # percentile p is p
    made = stretched(plane, 10, 90)
    assert made.dtype == np.uint8
    assert (made[0, :11] == 0).all() and (made[0, 90:] == 255).all()
    assert made[0, 50] == 127  # 127.5
    assert made[0, 11] == 3  # 3.1875


def test_a_flat_plane_is_black():
    assert not stretched(np.full((3, 4), 7, np.float32), 1, 99).any()


def test_what_lies_above_two_equal_percentiles_is_white():
    plane = np.zeros((20, 20), np.float32)
    plane[0, 0] = 0.1
    made = stretched(plane, 1, 99)
    assert made[0, 0] == 255 and made.sum() == 255
