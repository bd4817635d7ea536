"""FaceFinder: the face of a picture, by its five landmarks (image-control.md §5).

Takes RGB pixels. Runs on the CPU in float32, as the reference does. Knows no request and does not cut anything out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fooocus_engine.models.weights import assign, built, read_weights
from fooocus_engine.vision.retina_face import Found, Network, RetinaFace

SURE = 0.97
MEAN = (104.0, 117.0, 123.0)  # of blue, green and red
LEVELS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))  # stride and anchor sizes in pixels
VARIANCE = 0.1
PREFIX = "module."
COUNTER = ".num_batches_tracked"  # of training; a file may lack it


@dataclass(frozen=True, eq=False)
class FaceFinder:
    """Looks for faces with a network."""

    network: Network

    @classmethod
    def load(cls, path: Path) -> FaceFinder:
        """That of a file.

        Raises:
            ModelUnavailable: there is no such file.
            BadModelFile: it is unreadable, or not of this network.
        """
        tensors = {name.removeprefix(PREFIX): tensor for name, tensor in read_weights(path).items()}
        network = built(RetinaFace, file=path.name, part="face detector")
        counters = {name: torch.tensor(0) for name in network.state_dict() if name.endswith(COUNTER)}
        assign(network, counters | tensors, file=path.name, part="face detector", convert=lambda _, t: single(t))
        return cls(network)

    @torch.no_grad()
    def landmarks(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        """Of the face that it is surest of in ``image [h, w, 3]``: both eyes, nose, both corners of the mouth.

        ``[5, 2]``: x and y in pixels; left is the picture's left. ``None`` where it is sure of none.
        """
        found = self.network(pixels(image))
        scores = found.scores.softmax(dim=1)[:, 1]
        # Of boxes that overlap, the reference keeps the best; so the best of all is never dropped.
        best = int(scores.argmax())
        if scores[best] <= SURE:
            return None
        height, width = image.shape[:2]
        points: NDArray[np.float32] = placed(found, anchors(width, height), best).numpy()
        return points


def single(tensor: Tensor) -> Tensor:
    """``tensor`` in float32, counters as they are."""
    return tensor.float() if tensor.is_floating_point() else tensor


def pixels(image: NDArray[np.uint8]) -> Tensor:
    """``image`` as the network wants it: blue, green, red, each less its mean, ``[1, 3, h, w]`` float32."""
    planes: NDArray[Any] = image[..., ::-1].astype(np.float32) - np.array(MEAN, np.float32)
    return torch.from_numpy(planes).permute(2, 0, 1)[None].contiguous()


def anchors(width: int, height: int) -> Tensor:
    """``[A, 3]``: middle x, middle y and side of every anchor, in pixels and in the network's order."""
    return torch.cat(list(_levels(width, height)))


def _levels(width: int, height: int) -> Iterator[Tensor]:
    for stride, sides in LEVELS:
        x, y = ((torch.arange(ceil(length / stride)) + 0.5) * stride for length in (width, height))
        rows, columns, side = torch.meshgrid(y, x, torch.tensor(sides, dtype=torch.float32), indexing="ij")
        yield torch.stack([columns, rows, side], dim=-1).reshape(-1, 3)


def placed(found: Found, where: Tensor, index: int) -> Tensor:
    """The landmarks of one anchor, ``[5, 2]``: offsets from its middle in tenths of its side."""
    return where[index, :2] + found.landmarks[index].reshape(5, 2) * VARIANCE * where[index, 2]
