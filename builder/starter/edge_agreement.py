"""How well pictures keep to the edges that steer them.

The boundary F-measure (Martin, Fowlkes & Malik 2004, IEEE PAMI 26(5)): precision is the share of the picture's edge
pixels near a wanted one, recall the share of wanted ones near one of the picture's, F1 their harmonic mean. "Near" is
0.75 % of the diagonal, as in the Berkeley benchmark, rounded up to whole pixels: 3 at 192×192. A pixel is compared with
the nearest one of the other side, not matched one to one as there.
"""

from __future__ import annotations

import math
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from builder.starter import captions, world
from builder.starter.drawing import picture
from builder.starter.model import NATIVE
from builder.starter.painter import Shown, Wanted
from builder.starter.studio import Studio
from fooocus_engine.endpoints.generate.image_prompts import Kind
from fooocus_engine.imaging.edges import pyra_canny

NEAR = 0.0075  # share of the diagonal
SURE = 128  # grey level of an edge map from which on a pixel counts as an edge


def agreements(studio: Studio, count: int, seed: int, *, steered: bool) -> list[float]:
    """F1 of pictures of held-out scenes against the edges of their own rendering.

    Pictures are told by caption; those that are ``steered`` are also shown the rendering, as PyraCanny. Both are of the
    same scenes and seeds.
    """
    random = Random(seed)
    maps, wanted = [], []
    for index in range(count):
        scene = world.held_out_scene(random)
        rendering = picture(scene, NATIVE, random)
        maps.append(pyra_canny(np.asarray(rendering)))
        shown = Shown(Kind.CANNY, rendering) if steered else None
        wanted.append(Wanted(captions.caption(scene, random), seed + index, shown=shown))
    return [edge_f1(edges, image) for edges, image in zip(maps, studio.pictures(wanted), strict=True)]


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
