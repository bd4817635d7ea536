"""Boxes against the specification's table and the recordings, and what must hold of any box."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fooocus_engine.imaging.box import (
    Box,
    interested_box,
    is_small,
    marked_box,
    repaints,
    surroundings,
    working_size,
)
from fooocus_engine.imaging.resize import shape_ceil
from tests.golden.records import OWN_RECORDS, Group

TABLE = [  # image-inpaint.md §3: height, width, rows and columns of the mask, field, first box, final box
    (1024, 1024, (400, 600, 300, 500), 0.618, (386, 613, 286, 513), (183, 816, 83, 716)),
    (1024, 1024, (400, 600, 300, 500), 0.0, (386, 613, 286, 513), (386, 613, 286, 513)),
    (896, 1152, (0, 50, 0, 50), 0.618, (0, 52, 0, 52), (0, 711, 0, 712)),
    (1080, 1920, (500, 540, 900, 1020), 0.618, (452, 587, 892, 1027), (0, 1080, 366, 1553)),
    (512, 768, (10, 500, 600, 760), 0.618, (0, 512, 399, 768), (0, 512, 293, 768)),
]
RECORDED = [
    (row["h"], row["w"], tuple(row["rect_y0y1x0x1"]), row["k"], tuple(row["initial"]), tuple(row["solved"]))
    for row in Group(OWN_RECORDS / "G_image_ops.json").record("bbox").data
]
LENGTHS = st.integers(1, 40)


@st.composite
def marks(draw):
    """A picture's size and a box inside it."""
    width, height = draw(LENGTHS), draw(LENGTHS)
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return (width, height), Box(top, draw(st.integers(top + 1, height)), left, draw(st.integers(left + 1, width)))


@pytest.mark.parametrize(("height", "width", "rectangle", "field", "first", "final"), TABLE + RECORDED)
def test_boxes_are_those_of_the_specification_and_the_recordings(height, width, rectangle, field, first, final):
    marked, size = Box(*rectangle), (width, height)
    assert surroundings(marked, size) == first
    assert interested_box(marked, size, field) == final


@settings(deadline=None, database=None)
@given(marks(), st.floats(0, 1))
def test_a_box_lies_in_the_picture_around_the_first_one_and_is_as_large_as_asked(marked_in, field):
    size, marked = marked_in
    first, box = surroundings(marked, size), interested_box(marked, size, field)
    assert 0 <= box.top < box.bottom <= size[1] and 0 <= box.left < box.right <= size[0]
    assert box.bottom - box.top >= field * size[1] and box.right - box.left >= field * size[0]
    assert box.top <= first.top and box.bottom >= first.bottom and box.left <= first.left and box.right >= first.right


@settings(deadline=None, database=None)
@given(marks())
def test_at_most_one_row_or_column_of_what_is_marked_stays_out(marked_in):
    size, marked = marked_in
    box = surroundings(marked, size)
    assert box.top <= marked.top and box.left <= marked.left
    assert box.bottom >= marked.bottom - 1 and box.right >= marked.right - 1


@settings(deadline=None, database=None)
@given(st.integers(1, 6000), st.integers(1, 6000))
def test_a_part_is_worked_at_in_whole_steps_unless_its_own_size_will_do(width, height):
    box = Box(0, height, 0, width)
    size, factor = working_size(box), 4 if is_small(box) else 1
    assert is_small(box) == (shape_ceil(width, height) < 1024)
    if shape_ceil(factor * width, factor * height) == 1024:
        assert size == (factor * width, factor * height)
    else:
        assert min(size) > 0 and not (size[0] % 64 or size[1] % 64)


@pytest.mark.parametrize(
    ("part", "size"),
    [((262, 197), (1152, 896)), ((320, 302), (1024, 960)), ((512, 240), (1472, 704)), ((1000, 1000), (1000, 1000))],
)
def test_sizes_that_parts_are_worked_at(part, size):
    """The second and third are recorded (``outpaint_top_euler``, ``outpaint_lr``)."""
    width, height = part
    assert working_size(Box(0, height, 0, width)) == size


def test_a_box_knows_its_size_and_its_place_in_an_array():
    box = Box(2, 5, 10, 30)
    assert box.size == (20, 3)
    assert box.pixels == (slice(2, 5), slice(10, 30))


@pytest.mark.parametrize(("value", "expected"), [(0, False), (127, False), (128, True), (255, True)])
def test_a_pixel_above_the_middle_is_something_to_repaint(value, expected):
    mask = Image.new("L", (4, 3))
    mask.putpixel((1, 2), value)
    assert repaints(mask) is expected


def test_greys_count_for_the_box_but_not_as_something_to_repaint():
    mask = Image.new("L", (30, 20))
    mask.putpixel((7, 5), 1)
    mask.putpixel((9, 11), 127)
    assert marked_box(mask) == Box(5, 12, 7, 10)
    assert not repaints(mask)


def test_nothing_is_around_a_black_mask():
    with pytest.raises(ValueError, match="marked"):
        marked_box(Image.new("L", (4, 3)))
