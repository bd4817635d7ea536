"""``W*H`` strings: the grammar of api.md §2.2 and the list of §3.2."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fooocus_engine.endpoints.generate.sizes import (
    ASPECT_RATIOS,
    MAX_SIDE,
    MIN_SIDE,
    format_size,
    parse_size,
    size_lines,
)

SIDES = st.integers(MIN_SIDE, MAX_SIDE)


def test_the_26_offered_sizes_are_about_a_megapixel_and_multiples_of_64():
    sizes = [parse_size(text) for text in ASPECT_RATIOS]
    assert len(set(sizes)) == 26
    assert all(width % 64 == 0 and height % 64 == 0 for width, height in sizes)
    assert all(0.9e6 < width * height < 1.06e6 for width, height in sizes)
    assert sizes == sorted(sizes, key=lambda size: size[0] / size[1])


@settings(deadline=None, database=None)
@given(SIDES, SIDES)
def test_a_written_size_is_read_back(width, height):
    assert parse_size(format_size((width, height))) == (width, height)


@pytest.mark.parametrize(
    "text",
    ["704*1408", "704×1408", "704x1408", "704X1408", " 704 * 1408 ", "704*1408 (1:2)", "704×1408 <span>∣ 1:2</span>",
     "704*1408, 1:2", "704*1408px", "704*1408 px, 1:2", "704x1408x", "704*1408\n1:2"],
)  # fmt: skip
def test_every_spelling_is_read(text):
    assert parse_size(text) == (704, 1408)


@pytest.mark.parametrize(
    "text",
    ["", "*", "704", "704*", "*704", "704**704", "704*704*704", "704x704 x 3", "704*7e2", "704*704,5", "-704*704",
     "70 4*704", "704*704.0", "٧٠٤*٧٠٤", "704/704", "704,704", "1" * 5000 + "*704"],
)  # fmt: skip
def test_any_other_text_is_refused(text):
    with pytest.raises(ValueError, match="write W"):
        parse_size(text)


@pytest.mark.parametrize("text", ["63*64", "64*63", "2049*64", "64*2049", "0*0", "999999*64"])
def test_a_side_out_of_range_is_refused(text):
    with pytest.raises(ValueError, match="64 to 2048"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "lines"),
    [
        ((512, 512), "512 x 512, 1.0, 1:1\n1024 x 1024, 1.0, 1:1"),
        ((131, 77), "131 x 77, 1.7, 131:77\n1280 x 768, 1.67, 5:3"),
    ],
)
def test_a_size_is_told_with_its_ratio_and_the_nearest_one_offered(size, lines):
    assert size_lines(size) == lines
