"""What captions measure, of a studio that draws the truth and of such as do not."""

from __future__ import annotations

import math

import pytest
from PIL import Image

from builder.starter.facts import Facts, Item, Told
from builder.starter.painter import PRESET
from builder.starter.rows import NEGATED, SIZES, TARGETS, Measures, Row, chance, held_out, matched, shares
from fooocus_engine.endpoints.generate.presets import preset_named
from tests.builder.starter.studios import TruthStudio, measures

MEASURES = measures(30)


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {row.name: row for row in MEASURES.rows()}


def named(known: Measures) -> dict[str, Row]:
    return {row.name: row for row in known.rows()}


def test_pictures_of_the_truth_are_right():
    found = list(MEASURES.brief())
    assert [row.name for row in found] == [*TARGETS, "colour and shape of the same object"]
    assert all(row.met and row.value >= 0.99 and row.cases == 30 for row in found)


def test_pictures_of_the_truth_meet_every_target(rows):
    assert [name for name, row in rows.items() if not row.met] == []


def test_what_the_model_must_reach_is_measured_on_all_captions(rows):
    sizes = [f"{width}x{height}: count" for width, height in SIZES]
    for name in [*sizes, "Quality: shape", "guidance 4: mean score", "shuffled captions: colour"]:
        assert rows[name].cases == 30
        assert rows[name].least is not None or rows[name].most is not None


def test_pictures_that_suit_the_next_caption_more_often_than_by_chance_are_noticed():
    one, other = (
        Told("one", Facts("gray", (Item(1, "red", "ring"),))),
        Told("other", Facts("sea", (Item(2, "pink", "star"),))),
    )
    told = [one] * 15 + [other] * 15  # 28 of 30 are followed by their like; by chance it is 14 of 29
    missed = [row.name for row in Measures(TruthStudio(told), told, seed=1)._shuffled() if not row.met]
    assert missed == [f"shuffled captions: {name}" for name in TARGETS]


def test_chance_is_what_the_captions_of_others_score():
    found = chance(held_out(60))
    assert 1 / 14 - 0.03 < found["background"] < 1 / 14 + 0.03
    assert 0.2 < found["count"] < 0.5
    known = measures(60)
    for name, value in shares(matched([*known.told[1:], known.told[0]], known.speed)).items():
        assert value == pytest.approx(found[name], abs=0.2)


@pytest.mark.parametrize(
    ("deaf", "missed"),
    [
        ("guidance", "guidance 4: mean score"),
        ("negative", "same, the colour as negative prompt"),
        ("other colours", "same, another colour as negative prompt"),
    ],
)
def test_a_model_that_is_deaf_is_noticed(deaf, missed):
    known = measures(10, deaf)
    found = [*known._guidance(), *known._negative()]
    assert [row.name for row in found if not row.met] == [missed]


def test_a_negative_prompt_is_not_measured_on_pictures_without_colours():
    class Empty:
        def pictures(self, wanted):
            return [Image.new("RGB", each.size, (136, 136, 136)) for each in wanted]

    without, *_ = Measures(Empty(), [], seed=1)._negative()
    assert (without.value, without.cases, without.met) == (0, NEGATED, False)


def test_pictures_that_name_no_guidance_have_the_one_that_others_are_held_against():
    assert preset_named(PRESET).guidance_scale == 4


def test_a_slow_studio_is_noticed():
    told = held_out(2)
    assert Measures(TruthStudio(told, takes=3.9), told, 1)._seconds().met
    assert not Measures(TruthStudio(told, takes=4.1), told, 1)._seconds().met


def test_held_out_captions_are_the_same_every_time_and_other_for_unseen_pairs():
    assert held_out(5) == held_out(5)
    assert held_out(5) != held_out(5, unseen_pairs=True)


def test_a_row_tells_whether_its_target_is_met_and_of_how_many_it_is():
    assert Row("a", 0.9, 5, least=0.9).met
    assert not Row("a", 0.89, 5, least=0.9).met
    assert not Row("a", 0.5, 5, most=0.4).met
    assert not Row("a", math.nan, 0, least=0).met
    assert Row("a", 0.0, 5).met
    assert str(Row("a", 0.5, 5, most=0.0)).split() == ["a", "(n=5)", "0.500", "<=", "0.000", "MISSED"]
