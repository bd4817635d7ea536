"""``python -m builder.starter.edge_agreement``: how well pictures keep to the edges that steer them.

The boundary F-measure (Martin, Fowlkes & Malik 2004, IEEE PAMI 26(5)): precision is the share of the picture's edge
pixels near a wanted one, recall the share of wanted ones near one of the picture's, F1 their harmonic mean. "Near" is
0.75 % of the diagonal, as in the Berkeley benchmark, rounded up to whole pixels: 3 at 192×192. A pixel is compared with
the nearest one of the other side, not matched one to one as there.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from builder.starter import captions, world
from builder.starter.control_painter import ControlPainter
from builder.starter.drawing import picture
from builder.starter.model import NATIVE
from fooocus_engine.imaging.edges import pyra_canny

NEAR = 0.0075  # share of the diagonal
SURE = 128  # grey level of an edge map from which on a pixel counts as an edge
TARGET = 0.6
SCENES_SEED = 77


def main() -> None:
    """Mean F1 with the control, and without it as what a caption alone reaches; exit status 1 below the target."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.edge_agreement", description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("build/starter/models"), help="a models folder")
    parser.add_argument("--model", help="name of a checkpoint in it; default: the shipped one")
    parser.add_argument("--file", type=Path, required=True, help="the control-LoRA")
    parser.add_argument("--count", type=int, default=50, help="held-out scenes")
    given = parser.parse_args()
    painter = ControlPainter(given.models, given.file, given.model)
    steered, alone = (np.mean(agreements(painter, given.count, weight)) for weight in (1.0, 0.0))
    sys.stdout.write(f"edge F1 with control {steered:.3f} (target {TARGET}), by the caption alone {alone:.3f}\n")
    sys.exit(0 if steered >= TARGET else 1)


def agreements(painter: ControlPainter, count: int, weight: float) -> list[float]:
    """F1 of pictures of held-out scenes, told by caption and by the edges of their own rendering."""
    random = Random(SCENES_SEED)
    found = []
    for seed in range(count):
        scene = world.held_out_scene(random)
        edges = pyra_canny(np.asarray(picture(scene, NATIVE, random)))
        found.append(edge_f1(edges, painter.picture(captions.caption(scene, random), seed, edges, weight)))
    return found


def edge_f1(wanted: NDArray[np.uint8], image: Image.Image) -> float:
    """F1 of ``image``'s own edges against the edge map ``wanted [h, w]`` that steered it; both found alike."""
    return boundary_f1(wanted >= SURE, pyra_canny(np.array(image.convert("RGB"))) >= SURE)


def boundary_f1(wanted: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """F1 of two boundary maps ``[h, w]``; 1 where both are empty, 0 where one is."""
    if not wanted.any() or not found.any():
        return float(not wanted.any() and not found.any())
    near = math.ceil(NEAR * math.hypot(*wanted.shape))
    precision, recall = _share_near(found, wanted, near), _share_near(wanted, found, near)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _share_near(these: NDArray[np.bool_], those: NDArray[np.bool_], near: int) -> float:
    """Share of ``these`` pixels that have one of ``those`` within ``near`` pixels."""
    distance = cv2.distanceTransform((~those).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return float((distance[these] <= near).mean())


if __name__ == "__main__":
    main()
