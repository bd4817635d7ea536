"""Profiles of drawn masks, and the figures that they are compared with."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from builder.starter.figures import DIRECTIONS, distances, profile, tolerance


def mask_of(*corners: tuple[float, float], across: int = 100) -> np.ndarray:
    """A filled polygon; corners between 0 and 1."""
    mask = np.zeros((across, across), np.uint8)
    cv2.fillPoly(mask, [np.round(np.array(corners) * (across - 1)).astype(np.int32)], 1)
    return mask


def disc(x: int, y: int, radius: int) -> np.ndarray:
    return np.asarray(cv2.circle(np.zeros((100, 100), np.uint8), (x, y), radius, 1, cv2.FILLED))


SQUARE = ((0.2, 0.2), (0.8, 0.2), (0.8, 0.8), (0.2, 0.8))
DIAMOND = ((0.5, 0.1), (0.82, 0.5), (0.5, 0.9), (0.18, 0.5))
TENT = ((0.5, 0.1), (0.95, 0.9), (0.05, 0.9))


def test_the_profile_of_a_disc_is_one_in_every_direction():
    assert profile(disc(50, 50, 40)) == pytest.approx(np.ones(DIRECTIONS), abs=0.03)  # a pixel is 0.025


def test_the_profile_of_a_square_reaches_from_half_its_side_to_half_its_diagonal():
    measured = profile(mask_of(*SQUARE))
    radius = 1 / np.sqrt(np.pi)  # of the disc with the area of a square of side 1
    assert measured[0] == pytest.approx(0.5 / radius, abs=0.04)
    assert measured[DIRECTIONS // 8] == pytest.approx(np.sqrt(0.5) / radius, abs=0.04)


def test_neither_place_nor_size_changes_a_profile():
    assert profile(disc(30, 60, 20)) == pytest.approx(profile(disc(50, 50, 40)), abs=0.06)  # a pixel is 0.05


@pytest.mark.parametrize(("name", "mask"), [("square", mask_of(*SQUARE)), ("diamond", mask_of(*DIAMOND))])
def test_a_figure_is_near_to_its_own_name_and_far_from_the_others(name, mask):
    off = distances(profile(mask))
    assert off.pop(name) < 0.3 * tolerance(name)
    assert all(distance > tolerance(other) for other, distance in off.items())


def test_blunt_corners_leave_a_triangle_near_to_its_name():
    soft = cv2.GaussianBlur(255 * mask_of(*TENT), (0, 0), 8) > 127
    assert distances(profile(soft.astype(np.uint8)))["triangle"] < 0.5 * tolerance("triangle")


def test_a_triangle_that_points_down_is_far_from_every_figure():
    off = distances(profile(mask_of(*TENT)[::-1].copy()))
    assert all(distance > tolerance(name) for name, distance in off.items())


def test_figures_with_more_slanted_edges_are_allowed_more():
    assert tolerance("circle") < tolerance("square") < tolerance("triangle") < tolerance("star")
