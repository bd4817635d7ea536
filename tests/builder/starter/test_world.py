from __future__ import annotations

import re
from random import Random

import numpy as np
import pytest

from builder.starter.captions import caption, foreign, fragment
from builder.starter.drawing import arranged, picture
from builder.starter.vocabulary import words
from builder.starter.world import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    UNSEEN_PAIRS,
    held_out_scene,
    is_held_out,
    is_unseen_pair,
    training_scene,
    visible_colours,
)


def scenes(count: int):
    random = Random(0)
    return [training_scene(random) for _ in range(count)]


def test_training_shows_every_pair_but_the_unseen_ones():
    shown = {(group.colour, group.shape) for scene in scenes(4000) for group in scene.groups}
    assert shown == {(colour, shape) for colour in COLOURS for shape in SHAPES} - UNSEEN_PAIRS


def test_training_never_shows_a_held_out_scene():
    assert not any(is_held_out(scene) for scene in scenes(500))


@pytest.mark.parametrize("unseen", [False, True])
def test_held_out_scenes_are_those_that_training_leaves_out(unseen: bool):
    random = Random(1)
    for _ in range(100):
        scene = held_out_scene(random, unseen_pairs=unseen)
        pairs = [is_unseen_pair(group) for group in scene.groups]
        assert any(pairs) if unseen else is_held_out(scene) and not any(pairs)


def test_held_out_scenes_with_a_pair_never_seen_have_as_many_objects_as_others():
    random = Random(1)
    several = sum(sum(g.number for g in held_out_scene(random, unseen_pairs=True).groups) > 1 for _ in range(200))
    assert several > 80  # 54 % of all scenes; of those whose pairs are all unseen 30 %


def test_a_colour_is_never_lost_on_a_background_of_its_name():
    assert all(background not in visible_colours(background) for background in BACKGROUNDS)


@pytest.mark.parametrize("size", [(128, 128), (96, 96), (192, 128), (128, 192)])
def test_objects_lie_inside_and_apart(size: tuple[int, int]):
    random = Random(2)
    short = min(size)
    for scene in scenes(100):
        placed = arranged(scene, size, random)
        assert len(placed) == sum(group.number for group in scene.groups)
        for index, one in enumerate(placed):
            assert one.radius <= one.x <= size[0] / short - one.radius
            assert one.radius <= one.y <= size[1] / short - one.radius
            for other in placed[:index]:
                assert (one.x - other.x) ** 2 + (one.y - other.y) ** 2 > (one.radius + other.radius) ** 2


def test_the_same_seed_draws_the_same_picture():
    scene = scenes(1)[0]
    first, second = (np.asarray(picture(scene, (96, 64), Random(5))) for _ in range(2))
    assert first.shape == (64, 96, 3)
    assert np.array_equal(first, second)


def test_captions_are_made_of_known_words_alone_and_name_every_object():
    random = Random(3)
    known = set(words())
    for scene in scenes(500):
        text = caption(scene, random)
        for said in (text, fragment(scene, random)):
            assert set(re.findall(r"\w+|[,.]", said)) <= known
        assert all(group.colour in text and group.shape in text for group in scene.groups)


def test_foreign_words_are_as_many_as_asked_for():
    assert len(foreign(Random(4), 12).split()) == 12
