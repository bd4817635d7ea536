"""The boundary F-measure on maps whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from builder.starter.edge_agreement import boundary_f1, edge_f1
from fooocus_engine.imaging.edges import pyra_canny


def line(row: int, *, length: int = 192) -> np.ndarray:
    found = np.zeros((192, 192), bool)
    found[row, :length] = True
    return found


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (3, 1.0), (4, 0.0)])  # 0.75 % of the diagonal: 2.04 → 3
def test_lines_agree_up_to_three_pixels_at_the_native_size(shift, expected):
    assert boundary_f1(line(90), line(90 + shift)) == expected


def test_half_of_what_is_wanted_gives_two_thirds():
    # Precision 1, recall 1/2 (and the 3 pixels that the end of the half line still reaches).
    assert boundary_f1(line(90), line(90, length=93)) == pytest.approx(2 / 3)


def test_it_does_not_matter_which_side_has_too_much():
    assert boundary_f1(line(90), line(90, length=93)) == boundary_f1(line(90, length=93), line(90))


def test_empty_maps_agree_with_each_other_alone():
    nothing = np.zeros((192, 192), bool)
    assert boundary_f1(nothing, nothing) == 1
    assert boundary_f1(nothing, line(90)) == boundary_f1(line(90), nothing) == 0


def test_a_picture_agrees_with_its_own_edges_and_not_with_anothers():
    here, there = np.zeros((192, 192, 3), np.uint8), np.zeros((192, 192, 3), np.uint8)
    here[20:80, 20:80] = 200
    there[110:170, 110:170] = 200
    assert edge_f1(pyra_canny(here), Image.fromarray(here)) == 1
    assert edge_f1(pyra_canny(there), Image.fromarray(here)) == 0


def test_a_squares_edges_are_found_again_in_other_colours():
    first, second = np.full((192, 192, 3), 30, np.uint8), np.full((192, 192, 3), 220, np.uint8)
    first[40:120, 60:140] = (200, 40, 40)
    second[41:121, 60:140] = (20, 60, 200)
    assert edge_f1(pyra_canny(first), Image.fromarray(second)) > 0.95
