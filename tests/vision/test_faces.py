"""Which face is found, where its landmarks are, and what files the finder is made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.vision.faces import FaceFinder, anchors, pixels
from fooocus_engine.vision.retina_face import Found, RetinaFace

WIDTH, HEIGHT = 70, 40
IMAGE = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
COUNT = 2 * (9 * 5 + 5 * 3 + 3 * 2)  # two anchors at each place of an 8th, a 16th and a 32nd of the size, rounded up
LARGEST = COUNT - 1


def sure(share: float) -> Tensor:
    """Scores before softmax by which a face has that ``share``."""
    return torch.tensor([0.0, float(np.log(share / (1 - share)))], dtype=torch.float64).float()


def finder(shares: dict[int, float], offsets: dict[int, list[float]] | None = None) -> FaceFinder:
    """One that sees faces at these anchors."""
    scores, landmarks = torch.tensor([5.0, -5.0]).repeat(COUNT, 1), torch.zeros(COUNT, 10)
    for index, share in shares.items():
        scores[index] = sure(share)
    for index, offset in (offsets or {}).items():
        landmarks[index] = torch.tensor(offset)
    return FaceFinder(lambda seen: Found(scores, torch.zeros(COUNT, 4), landmarks))


def test_anchors_lie_in_the_middle_of_their_places_finest_first_row_by_row():
    made = anchors(WIDTH, HEIGHT)
    assert made.shape == (COUNT, 3)
    assert made[:4].tolist() == [[4, 4, 16], [4, 4, 32], [12, 4, 16], [12, 4, 32]]
    assert made[18].tolist() == [4, 12, 16]  # the second row
    assert made[90].tolist() == [8, 8, 64]  # the second level
    assert made[LARGEST].tolist() == [80, 48, 512]


def test_landmarks_are_offsets_in_tenths_of_the_anchors_side():
    offset = [0, 0, 1, 0, 0, 1, -1, -1, 0.5, 2]
    points = finder({3: 0.99}, {3: offset}).landmarks(IMAGE)
    assert points is not None and points.dtype == np.float32
    expected = [(12, 4), (15.2, 4), (12, 7.2), (8.8, 0.8), (13.6, 10.4)]  # anchor 3: at (12, 4), side 32
    assert np.allclose(points, expected, atol=1e-5)


def test_the_surest_face_is_taken_not_the_largest():
    points = finder({0: 0.99, LARGEST: 0.98}).landmarks(IMAGE)
    assert points is not None and (points == (4, 4)).all()


@pytest.mark.parametrize(("share", "is_found"), [(0.9699, False), (0.9701, True), (0.5, False)])
def test_a_face_counts_from_a_certainty_on(share, is_found):
    assert (finder({5: share}).landmarks(IMAGE) is not None) == is_found


def test_the_network_sees_blue_first_and_less_the_mean():
    image = np.zeros((2, 3, 3), np.uint8)
    image[1, 2] = (10, 20, 30)
    seen = pixels(image)
    assert seen.shape == (1, 3, 2, 3)
    assert seen[0, :, 1, 2].tolist() == [30 - 104, 20 - 117, 10 - 123]
    assert seen[0, :, 0, 0].tolist() == [-104, -117, -123]


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return RetinaFace().state_dict()


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_file_is_read_with_or_without_the_prefix_of_training(prefix, weights, tmp_path):
    path = tmp_path / "faces.pth"
    torch.save({prefix + name: tensor for name, tensor in weights.items()}, path)
    loaded = FaceFinder.load(path).network
    assert isinstance(loaded, RetinaFace) and not loaded.training
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.state_dict().items())


def test_a_file_without_the_counters_of_training_is_as_good(weights, tmp_path):
    path = tmp_path / "faces.pth"
    torch.save({name: tensor for name, tensor in weights.items() if not name.endswith("num_batches_tracked")}, path)
    loaded = FaceFinder.load(path)
    assert torch.equal(loaded.network.body.conv1.weight, weights["body.conv1.weight"])


def test_a_file_that_lacks_a_weight_or_is_of_another_network_is_told(weights, tmp_path):
    path = tmp_path / "faces.pth"
    torch.save({name: tensor for name, tensor in weights.items() if name != "fpn.merge1.0.weight"}, path)
    with pytest.raises(BadModelFile, match=r"the face detector lacks fpn\.merge1\.0\.weight"):
        FaceFinder.load(path)
    torch.save(weights | {"body.conv1.weight": torch.zeros(8, 3, 7, 7)}, path)
    with pytest.raises(BadModelFile, match=r"body\.conv1\.weight is \(8, 3, 7, 7\)"):
        FaceFinder.load(path)
    with pytest.raises(ModelUnavailable):
        FaceFinder.load(tmp_path / "missing.pth")
