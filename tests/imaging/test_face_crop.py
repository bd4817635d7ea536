"""A face brought to its template: known movements, and what lies outside the picture."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fooocus_engine.imaging.face_crop import OUTSIDE, SIDE, TEMPLATE, aligned

POINTS = np.array(TEMPLATE, np.float32)


def dotted(landmarks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A black picture (width, height) with a soft white dot at each landmark."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in landmarks:
        cv2.circle(picture, (round(float(x)), round(float(y))), 6, (255, 255, 255), -1)
    return picture


def moved(scale: float, degrees: float, shift: tuple[float, float]) -> np.ndarray:
    """The template scaled, turned about the origin and shifted."""
    turn = np.deg2rad(degrees)
    rotation = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(POINTS @ rotation.T + shift, np.float32)


def test_a_face_that_lies_as_the_template_stays_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    made = aligned(picture, POINTS).astype(int)
    assert np.abs(made - picture)[1:-1, 1:-1].max() <= 1  # the movement is found in float


@pytest.mark.parametrize(
    ("scale", "degrees", "shift"),
    [(0.5, 0, (20, 40)), (1.5, 30, (300, 10)), (0.25, -75, (60, 150)), (2, 170, (1100, 1000))],
)
def test_landmarks_come_to_lie_on_the_template(scale, degrees, shift):
    landmarks = moved(scale, degrees, shift)
    made = aligned(dotted(landmarks, (1200, 1100)), landmarks)
    assert made.shape == (SIDE, SIDE, 3)
    for x, y in POINTS:
        assert made[round(float(y)), round(float(x))].min() > 200


def test_outside_the_picture_all_is_of_one_colour():
    made = aligned(np.zeros((80, 80, 3), np.uint8), moved(0.3, 0, (-20, -20)))
    assert (made[-1, -1] == OUTSIDE).all() and (made[0, 0] == OUTSIDE).all()


def test_a_face_is_not_distorted_by_one_landmark_that_is_wrong():
    landmarks = moved(0.5, 20, (100, 30))
    landmarks[4] += 40
    made = aligned(dotted(landmarks[:4], (500, 400)), landmarks)
    for x, y in POINTS[:4]:
        assert made[round(float(y)), round(float(x))].min() > 200


def test_landmarks_in_one_point_leave_the_picture_as_it_is():
    picture = np.full((50, 60, 3), 9, np.uint8)
    assert aligned(picture, np.full((5, 2), 20, np.float32)) is picture
