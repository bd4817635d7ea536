"""How whoever misses a file is told what bakes it."""

from fooocus_engine.models.catalogue import known_files
from fooocus_engine.models.features import FEATURES, bake_of


def test_a_feature_is_told_before_a_preset():
    assert bake_of(["preset:lightning", "performance:Lightning"]) == "feature 'speed'"
    assert bake_of(["preset:anime"]) == "preset 'anime'"
    assert bake_of(["every generation"]) == "any preset"
    assert bake_of([]) is None


def test_whatever_is_needed_can_be_baked():
    needed = [row for row in known_files() if row.needed_by]
    assert needed
    assert [row.name for row in needed if bake_of(row.needed_by) is None] == []


def test_no_two_features_are_needed_by_the_same_but_for_inpaints():
    words = [word for name, needing in FEATURES.items() if name != "inpaint-old" for word in needing]
    assert len(words) == len(set(words))
