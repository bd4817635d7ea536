"""What stands out of a picture's background, or which clothes are worn, by the networks of the rembg family.

Takes RGB pictures and an ONNX network, gives masks of the picture's size (image-tools.md §2.1). Knows no files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fooocus_engine.errors import BadModelFile
from fooocus_engine.vision.onnx_network import OnnxNetwork
from fooocus_engine.vision.pixels import IMAGENET_DEVIATION, IMAGENET_MEAN, Channels

WHITE = 255
EVEN: Channels = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Preparation:
    """How a network wants its picture."""

    side: int
    """Pixels of the square that it is pressed into."""
    deviation: Channels = IMAGENET_DEVIATION


PREPARATIONS: Mapping[str, Preparation] = MappingProxyType(
    {
        "u2net": Preparation(320),
        "u2netp": Preparation(320),
        "u2net_human_seg": Preparation(320),
        "u2net_cloth_seg": Preparation(768),
        "silueta": Preparation(320),
        "isnet-general-use": Preparation(1024, EVEN),
        "isnet-anime": Preparation(1024, EVEN),
    }
)


class Cloth(IntEnum):
    """The classes that the network of clothes tells apart; 0 is the background."""

    UPPER = 1
    LOWER = 2
    FULL = 3


def soft_mask(image: Image.Image, network: OnnxNetwork, preparation: Preparation) -> Image.Image:
    """What stands out, L: 255 where it surely does; neither hardened nor cleaned.

    Raises:
        BadModelFile: the file holds no such network.
    """
    plane = _planes(image, network, preparation)[0]
    low, high = float(plane.min()), float(plane.max())
    share = (plane - low) / (high - low) if high > low else np.zeros_like(plane)
    return _resized((share * WHITE).astype(np.uint8), image.size)


def cloth_mask(image: Image.Image, network: OnnxNetwork, preparation: Preparation, cloth: Cloth) -> Image.Image:
    """Where clothes of that class are, L: 0 or 255.

    Raises:
        BadModelFile: the file holds no such network.
    """
    planes = _planes(image, network, preparation)
    if len(planes) <= max(Cloth):
        raise BadModelFile(f"{network.file}: tells {len(planes)} classes of clothes apart; {len(Cloth) + 1} are needed")
    # Labels are resized as if they were grey levels, so that between two classes a third can appear.
    labels = np.asarray(_resized(planes.argmax(axis=0).astype(np.uint8), image.size))
    return Image.fromarray(np.where(labels == cloth, np.uint8(WHITE), np.uint8(0)))


def prepared(image: Image.Image, preparation: Preparation) -> NDArray[np.float32]:
    """``image`` (RGB) as ``[1, 3, side, side]``: over its own brightest value, then by mean and deviation."""
    side = preparation.side
    values = np.asarray(image.resize((side, side), Image.Resampling.LANCZOS), np.float64)
    values = (values / (values.max() or 1.0) - IMAGENET_MEAN) / preparation.deviation
    return values.transpose(2, 0, 1)[None].astype(np.float32)


def _planes(image: Image.Image, network: OnnxNetwork, preparation: Preparation) -> NDArray[np.float32]:
    made = network.first_output(prepared(image, preparation))
    if made.ndim != 4 or not made.size:
        raise BadModelFile(f"{network.file}: puts out {list(made.shape)}; planes [1, n, h, w] are needed")
    return np.asarray(made[0], np.float32)


def _resized(plane: NDArray[np.uint8], size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(plane).resize(size, Image.Resampling.LANCZOS)
