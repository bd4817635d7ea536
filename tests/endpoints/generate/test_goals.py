"""What becomes of a picture's size, against the numbers of image-uov.md §§1, 2."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from fooocus_engine.endpoints.generate.goals import MAX_PIXELS, Shapes, canvas_size, goal_of, strength
from fooocus_engine.endpoints.generate.plan import Enlarge, FromText, Goal, Upscale, Vary
from fooocus_engine.endpoints.generate.upscale_vary import Method
from fooocus_engine.errors import InvalidRequest
from fooocus_engine.imaging.resize import shape_ceil
from fooocus_engine.types import Sources
from tests.endpoints.asking import asked, uov_asked


def goal(size: tuple[int, int], method: str, **fields: object) -> Goal:
    request = uov_asked({"input_image": "taken in", "uov_method": method, **fields})
    return goal_of(request, Sources(Image.new("1", size)))


def refused(size: tuple[int, int], method: str, **fields: object) -> tuple[tuple[str | int, ...], str]:
    with pytest.raises(InvalidRequest) as error:
        goal(size, method, **fields)
    (problem,) = error.value.problems
    return problem.loc, problem.msg


@pytest.mark.parametrize(
    ("size", "method", "expected"),
    [
        ((1024, 1024), "Upscale (2x)", Upscale((2048, 2048))),
        ((1024, 1024), "Upscale (1.5x)", Upscale((1536, 1536))),
        ((1400, 1400), "Upscale (2x)", Enlarge((2800, 2800))),
        ((1376, 1376), "Upscale (2x)", Upscale((2752, 2752))),
        ((400, 300), "Upscale (2x)", Upscale((1152, 896))),
        ((1920, 1080), "Upscale (2x)", Enlarge((3840, 2160))),
        ((3840, 2160), "Upscale (Fast 2x)", Enlarge((7680, 4320))),
        ((400, 300), "Upscale (Fast 2x)", Enlarge((1152, 896))),
        ((8000, 8000), "Upscale (Fast 2x)", Enlarge((16000, 16000))),
        ((8000, 8000), "Upscale (1.5x)", Enlarge((12000, 12000))),
        ((1001, 999), "Upscale (1.5x)", Upscale((1501, 1498))),
        ((512, 512), "Vary (Subtle)", Vary((1024, 1024))),
        ((1001, 1003), "Vary (Strong)", Vary((1001, 1003))),
        ((2048, 2000), "Vary (Strong)", Vary((2048, 2000))),
        ((3000, 2000), "Vary (Subtle)", Vary((2432, 1664))),
        ((8000, 8000), "Vary (Subtle)", Vary((2048, 2048))),
    ],
)  # fmt: skip
def test_a_method_makes_of_a_size_what_is_specified(size, method, expected):
    assert goal(size, method) == expected


@pytest.mark.parametrize(
    ("size", "method", "expected"),
    [
        ((192, 192), "Vary (Subtle)", Vary((192, 192))),
        ((100, 100), "Vary (Strong)", Vary((192, 192))),
        ((1000, 1000), "Vary (Strong)", Vary((384, 384))),
        ((192, 192), "Upscale (2x)", Upscale((384, 384))),
        ((262, 262), "Upscale (2x)", Enlarge((524, 524))),
        ((250, 250), "Upscale (2x)", Upscale((500, 500))),
        ((60, 60), "Upscale (2x)", Upscale((192, 192))),
    ],
)  # fmt: skip
def test_sizes_are_in_proportion_for_a_model_at_home_with_smaller_pictures(size, method, expected):
    request = uov_asked({"input_image": "taken in", "uov_method": method})
    assert goal_of(request, Sources(Image.new("1", size)), Shapes(192)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, Upscale((1100, 1000))), (1, Upscale((1100, 1000))), (1.25, Upscale((1375, 1250))),
        (2.5, Upscale((2750, 2500))), (2.7, Enlarge((2970, 2700))), (5, Enlarge((5500, 5000))),
    ],
)  # fmt: skip
def test_the_custom_factor_is_honoured_up_to_its_ends(value, expected):
    assert goal((1100, 1000), "Upscale (Custom)", upscale_value=value) == expected


@pytest.mark.parametrize("method", ["Upscale (2x)", "Vary (Strong)", "Upscale (Fast 2x)"])
def test_other_methods_have_their_own_factor(method):
    assert goal((1100, 1000), method, upscale_value=4) == goal((1100, 1000), method)


def test_a_canvas_has_whole_latent_pixels():
    assert canvas_size(Vary((1001, 1007))) == (1000, 1000)


@settings(deadline=None, max_examples=300)
@given(st.tuples(st.integers(8, 8000), st.integers(8, 8000)), st.sampled_from(list(Method)))
def test_every_size_comes_to_a_goal_of_bounded_size_or_is_refused_by_name(size, method):
    try:
        made = goal(size, method, upscale_value=1.7)
    except InvalidRequest as error:
        assert error.problems[0].loc == ("body", "input_image")
        return
    width, height = made.size
    match made:
        case Vary():
            assert 0.8 * 1024 <= shape_ceil(width, height) <= 1.2 * 2048
            assert min(width, height) >= 64
        case Upscale():
            assert 0.8 * 1024 <= shape_ceil(width, height) <= 2816
            assert min(width, height) >= 64
        case Enlarge():
            assert width * height <= MAX_PIXELS


@pytest.mark.parametrize(
    ("size", "method", "fields", "field", "told"),
    [
        ((40000, 40), "Vary (Subtle)", {}, "input_image", "40000x40 pixels; both sides need at least 64"),
        ((30000, 40), "Upscale (1.5x)", {}, "input_image", "45000x60 pixels; both sides need at least 64"),
        ((8000, 8000), "Upscale (Custom)", {"upscale_value": 2.1}, "upscale_value", "at most 256 megapixels"),
        ((9000, 100), "Upscale (Fast 2x)", {"save_extension": "webp"}, "save_extension", "webp holds at most 16383"),
        ((40000, 100), "Upscale (Fast 2x)", {"save_extension": "jpg"}, "save_extension", "jpg holds at most 65500"),
        ((65535, 40), "Vary (Subtle)", {"save_extension": "webp"}, "input_image", "at least 64"),
        ((17000, 70), "Vary (Subtle)", {"save_extension": "webp"}, "save_extension", "17000x70"),
    ],
)
def test_a_size_that_cannot_be_made_is_refused_at_the_field_to_change(size, method, fields, field, told):
    loc, message = refused(size, method, **fields)
    assert loc == ("body", field)
    assert told in message


@pytest.mark.parametrize(
    ("method", "advanced", "expected"),
    [
        ("Vary (Subtle)", {}, 0.5),
        ("Vary (Strong)", {}, 0.85),
        ("Upscale (2x)", {}, 0.382),
        ("Vary (Subtle)", {"overwrite_vary_strength": 0.7, "overwrite_upscale_strength": 0.1}, 0.7),
        ("Upscale (Custom)", {"overwrite_vary_strength": 0.7, "overwrite_upscale_strength": 0.1}, 0.1),
        ("Upscale (1.5x)", {"overwrite_upscale_strength": 0}, 0.382),
        ("Vary (Subtle)", {"overwrite_vary_strength": -0.5}, 0.5),
    ],
)
def test_a_strength_above_0_overwrites_the_methods_own(method, advanced, expected):
    assert strength(uov_asked({"input_image": "x", "uov_method": method, "advanced_params": advanced})) == expected


def test_words_alone_have_no_picture_to_start_from():
    request = asked({"prompt": "a cat", "advanced_params": {"overwrite_vary_strength": 0.5}})
    assert (goal_of(request, Sources()), strength(request)) == (FromText(), 1.0)
