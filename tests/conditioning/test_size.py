"""The size numbers of sampling.md §7.3."""

import pytest

from fooocus_engine.conditioning.size import consistent, emphasised, for_sdxl_refiner, round64

SIZE = (896, 1152)


@pytest.mark.parametrize(("value", "rounded"), [(1056, 1024), (1312, 1280), (96, 128), (32, 0), (1152, 1152)])
def test_sides_go_to_the_nearest_64_halves_to_even(value, rounded):
    assert round64(value) == rounded


def test_the_emphasised_pair_of_the_specification():
    assert emphasised(SIZE, 1.5).tolist() == [[1728, 1344, 0, 0, 1152, 896]]
    assert emphasised(SIZE, 0.8).tolist() == [[921, 716, 0, 0, 1152, 896]]
    assert consistent(SIZE).tolist() == [[1152, 896, 0, 0, 1152, 896]]


def test_the_refiner_is_told_the_true_size_and_a_score():
    assert for_sdxl_refiner((200, 264), positive=True).tolist() == [[264, 200, 0, 0, 6.0]]
    assert for_sdxl_refiner((200, 264), positive=False).tolist() == [[264, 200, 0, 0, 2.5]]
