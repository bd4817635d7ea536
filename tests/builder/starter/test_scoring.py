"""Scores against hand-made sights."""

from __future__ import annotations

from random import Random

import pytest

from builder.starter import world
from builder.starter.analysis import Seen, SeenObject
from builder.starter.facts import Facts, Item, facts_of
from builder.starter.scoring import Match, Score, Share, score, sight_of, totals

FACTS = Facts("night", (Item(2, "yellow", "star"), Item(1, "green", "square")))
RIGHT, WRONG = Match(True, True), Match(False, False)


def seen(background: str | None, *things: tuple[str | None, str | None]) -> Seen:
    return Seen(background, tuple(SeenObject(colour, shape) for colour, shape in things))


def test_everything_right_in_any_order():
    found = score(FACTS, seen("night", ("green", "square"), ("yellow", "star"), ("yellow", "star")))
    assert found == Score(background=True, count=True, objects=(RIGHT, RIGHT, RIGHT))


def test_the_sight_of_facts_has_all_of_them_right():
    for i in range(100):
        facts = facts_of(world.draw_scene(Random(i)))
        total = totals([score(facts, sight_of(facts))])
        assert total.background.value == total.count.value == total.both.value == 1


def test_missing_object_is_wrong_in_everything():
    found = score(FACTS, seen("night", ("yellow", "star"), ("green", "square")))
    assert not found.count
    assert sorted(found.objects) == sorted((RIGHT, WRONG, RIGHT))
    assert found.objects[2] == RIGHT


def test_surplus_object_spoils_only_the_count():
    found = score(Facts("gray", (Item(1, "red", "ring"),)), seen("gray", ("blue", "star"), ("red", "ring")))
    assert found == Score(background=True, count=False, objects=(RIGHT,))


def test_swapped_colours_are_not_right_in_both():
    facts = Facts("gray", (Item(1, "red", "star"), Item(1, "blue", "ring")))
    found = score(facts, seen("white", ("blue", "star"), ("red", "ring")))
    assert not found.background
    assert [match.both for match in found.objects] == [False, False]
    assert sum(match.colour + match.shape for match in found.objects) == 2


@pytest.mark.parametrize("things", [(("red", "star"), ("blue", "star")), (("blue", "star"), ("red", "star"))])
def test_pairing_prefers_one_object_right_in_both_to_two_right_in_half(things):
    facts = Facts("gray", (Item(1, "red", "star"), Item(1, "red", "ring")))
    assert score(facts, seen("gray", *things)).objects == (RIGHT, WRONG)


def test_pairing_then_prefers_more_colours_and_shapes():
    facts = Facts("gray", (Item(1, "red", "star"), Item(1, "blue", "star")))
    found = score(facts, seen("gray", ("blue", "heart"), ("red", "heart")))
    assert found.objects == (Match(True, False), Match(True, False))


def test_nameless_things_are_right_in_nothing():
    assert score(FACTS, seen(None, (None, None))) == Score(False, False, (WRONG, WRONG, WRONG))


def test_nothing_seen_is_scored():
    assert score(FACTS, seen("night")) == Score(True, False, (WRONG, WRONG, WRONG))


def test_many_things_are_paired_in_good_time():
    crowd = seen("gray", *[(colour, shape) for colour in world.COLOURS for shape in world.SHAPES])
    assert score(Facts("gray", (Item(9, "red", "star"),)), crowd).objects.count(RIGHT) == 1


def test_totals_count_pictures_and_objects():
    total = totals([Score(True, False, (RIGHT, Match(True, False))), Score(False, True, (WRONG,))])
    assert (total.background, total.count) == (Share(1, 2), Share(1, 2))
    assert (total.colour, total.shape, total.both) == (Share(2, 3), Share(1, 3), Share(1, 3))
    assert total.colour.value == pytest.approx(2 / 3)


def test_share_of_no_cases_is_zero():
    assert totals([]).shape.value == 0
