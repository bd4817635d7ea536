from __future__ import annotations

from random import Random

import numpy as np
import pytest
from PIL import Image

from builder.starter.drawing import Style, picture
from builder.starter.outline import is_outlined
from builder.starter.world import SHAPES, Group, Scene, draw_scene


def share_outlined(style: Style, size: tuple[int, int], count: int) -> float:
    random = Random(7)
    return float(np.mean([is_outlined(picture(draw_scene(random), size, Random(i), style)) for i in range(count)]))


@pytest.mark.parametrize("size", [(192, 192), (128, 128), (240, 160)])
def test_rendered_truth_of_both_styles_is_told_apart(size: tuple[int, int]):
    assert share_outlined("outline", size, 100) >= 0.99
    assert share_outlined("filled", size, 100) <= 0.01


def test_one_filled_object_among_outlines_is_noticed():
    scene = Scene("white", (Group(1, "red", "circle", "medium", "plain", "left"),), None)
    other = Scene("white", (Group(1, "blue", "square", "medium", "plain", "right"),), None)
    outline = picture(scene, (192, 192), Random(1), "outline")
    assert is_outlined(outline)
    outline.paste(picture(other, (192, 192), Random(1)).crop((96, 0, 192, 192)), (96, 0))
    assert not is_outlined(outline)


def test_a_filled_object_is_noticed_however_near_an_outline_it_lies():
    scene = Scene("white", (Group(1, "red", "circle", "large", "plain", "left"),), None)
    outline = picture(scene, (192, 192), Random(1), "outline")
    assert is_outlined(outline)
    coloured = np.asarray(outline).min(axis=2) < 128
    right = int(np.flatnonzero(coloured.any(axis=0)).max())
    outline.paste((0, 0, 200), (right + 8, 80, right + 48, 120))
    assert not is_outlined(outline)


@pytest.mark.parametrize("shape", SHAPES)
def test_gaps_in_a_stroke_are_passed_over(shape: str):
    scene = Scene("white", (Group(1, "red", shape, "large", "plain", "centre"),), None)
    outline = picture(scene, (192, 192), Random(1), "outline")
    outline.paste((250, 250, 248), (90, 0, 102, 70))  # through the upper side
    assert is_outlined(outline)


def test_an_empty_picture_shows_no_outlines():
    assert not is_outlined(Image.new("RGB", (96, 96), (250, 250, 248)))


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_have_the_objects_colour_and_lie_where_the_filled_object_does(shape: str):
    plain, dotted = (Scene("white", (Group(1, "red", shape, "large", f, "centre"),), None) for f in ("plain", "dotted"))
    filled = np.asarray(picture(plain, (192, 192), Random(3)))
    outline = np.asarray(picture(dotted, (192, 192), Random(3), "outline"))
    boxes = [np.argwhere((drawn < 200).any(-1)) for drawn in (filled, outline)]
    off = [np.abs(boxes[0].min(0) - boxes[1].min(0)).max(), np.abs(boxes[0].max(0) - boxes[1].max(0)).max()]
    assert max(off) <= 5  # half a stroke of 6.5 pixels, and rounding
    assert {tuple(colour) for colour in outline.reshape(-1, 3)} >= {(214, 32, 38), (250, 250, 248)}
    assert not ((outline < 100).all(-1)).any()
