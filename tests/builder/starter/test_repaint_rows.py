"""What is measured of inpaints, of a studio that does what is asked and of such as do not."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from builder.starter.analysis import analyse
from builder.starter.drawing import picture
from builder.starter.repaint_rows import GIVEN, REACH, continuation, mask_at, repaint_rows, replacement
from builder.starter.rows import Measures, Row, Told
from builder.starter.scoring import facts_of
from builder.starter.world import PLACES
from tests.builder.starter.studios import TruthStudio

CASES = 20


def rows(*deaf: str) -> list[Row]:
    told = [Told(each.wanted.caption, facts_of(each.after)) for each in map(replacement, range(1, CASES + 1))]
    return list(repaint_rows(Measures(TruthStudio(told, deaf), told, seed=1), CASES))


def test_what_is_done_as_asked_meets_every_target():
    found = rows()
    assert [row.name for row in found if not row.met] == []
    assert all(row.value >= 0.95 and row.cases == CASES for row in found)


@pytest.mark.parametrize(
    ("deaf", "expected"),
    [
        ("rest", "inpaint: same bits beyond the soft edge"),
        ("new", "inpaint: the new object"),
        ("background", "outpaint: the background carried on"),
    ],
)
def test_what_is_not_done_is_noticed(deaf, expected):
    (missed,) = [row for row in rows(deaf) if not row.met]
    assert (missed.name, missed.value < 0.3) == (expected, True)


@pytest.mark.parametrize("seed", range(10))
def test_a_replacement_is_of_another_colour_and_shape_under_the_mask(seed):
    each = replacement(seed)
    (before,) = analyse(each.given).objects
    (after,) = each.after.groups
    assert before.colour != after.colour and before.shape != after.shape
    differs = np.any(np.asarray(picture(each.after, GIVEN, Random(seed))) != np.asarray(each.given), axis=2)
    assert not differs[np.asarray(each.mask) == 0].any()
    assert not each.shows_the_new(each.given) and each.leaves_the_rest(each.given)


@pytest.mark.parametrize("place", PLACES)
def test_a_mask_lies_around_its_place_and_leaves_most_of_the_picture(place):
    mask = mask_at(place)
    x, y = (share * length for share, length in zip(PLACES[place], mask.size, strict=True))
    assert mask.getpixel((int(x), int(y))) == 255
    assert np.mean(np.asarray(mask) == 0) >= 1 - (2 * REACH) ** 2 - 0.02


def test_an_equal_seed_gives_an_equal_request():
    assert replacement(3).wanted.fields == replacement(3).wanted.fields != replacement(4).wanted.fields
    assert continuation(3).wanted.fields == continuation(3).wanted.fields != continuation(4).wanted.fields
