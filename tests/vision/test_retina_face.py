"""The face network: what it is made of, and numbers of an independent implementation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from fooocus_engine.vision.faces import pixels
from fooocus_engine.vision.retina_face import Found, RetinaFace

SIZE = (150, 100)


def drawn(network: RetinaFace) -> dict[str, Tensor]:
    """Weights that keep the size of what flows through, drawn in the order of their names."""
    generator, weights = torch.Generator().manual_seed(0), {}
    for name, tensor in sorted(network.state_dict().items()):
        if tensor.dtype == torch.int64:
            continue
        if tensor.ndim == 4:
            weights[name] = torch.randn(tensor.shape, generator=generator) / tensor[0].numel() ** 0.5
        elif name.endswith(("running_var", ".weight")):
            weights[name] = torch.rand(tensor.shape, generator=generator) * 0.5 + 0.75
        else:
            weights[name] = torch.randn(tensor.shape, generator=generator) * 0.1
    return weights


@pytest.fixture(scope="module")
def found() -> Found:
    network = RetinaFace().eval()
    network.load_state_dict(drawn(network), strict=False)
    image = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    with torch.no_grad():
        return network(pixels(image))


def test_numbers_of_facexlib_0_3_0_are_met(found):
    """With the same weights and pixels; there they agree to the last bit."""
    assert [len(part) for part in found] == [674] * 3
    shares = found.scores.softmax(dim=1)[:, 1]
    assert shares[[5, 9, 23, 25]].tolist() == pytest.approx([0.11387, 0.18347, 0.17667, 0.64278], abs=1e-3)
    assert float(shares.mean()) == pytest.approx(0.470293, abs=1e-4)
    expected = [[10.0503, 67.5004], [55.5373, 18.854], [-46.7098, -58.7327]]
    assert torch.allclose(found.landmarks[[0, 500, 673], :2], torch.tensor(expected), atol=1e-2)
    assert float(found.landmarks.abs().mean()) == pytest.approx(51.91393, rel=1e-5)
    assert torch.allclose(found.boxes[0], torch.tensor([10.0309, 31.5126, 23.8826, -26.0373]), atol=1e-2)
    assert float(found.boxes.abs().mean()) == pytest.approx(60.94378, rel=1e-5)
