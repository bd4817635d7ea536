"""What companions measure, of a studio where they work and of such where they do not."""

from __future__ import annotations

import pytest

from builder.starter.companion_rows import (
    OPEN_CAPTIONS,
    PROMPT_COLOUR,
    companion_rows,
    control_rows,
    mode_rows,
    object_picture,
    prompt_rows,
    style_rows,
    upscaler_rows,
)
from builder.starter.palette import colour_share
from builder.starter.world import COLOURS
from fooocus_engine.endpoints.generate.performance import Performance
from fooocus_engine.models.store import UPSCALER_FILE
from tests.builder.starter.studios import measures


def missed(rows) -> list[str]:
    return [row.name for row in rows if not row.met]


@pytest.mark.parametrize("rows", [style_rows, control_rows, prompt_rows])
def test_a_companion_that_works_meets_every_target(rows):
    assert missed(rows(measures(10))) == []


@pytest.mark.parametrize(
    ("rows", "deaf", "expected"),
    [
        (style_rows, "loras", "style LoRA: pictures that become outlines"),
        (style_rows, "fillings", "style LoRA: pictures that become outlines"),
        (style_rows, "weight 0", "style LoRA at weight 0: same bits"),
        (control_rows, "edges", "PyraCanny: edge F1"),
        (prompt_rows, "prompt", "image prompt: what the weight adds to it"),
    ],
)
def test_a_companion_without_effect_is_noticed(rows, deaf, expected):
    assert missed(rows(measures(10, deaf))) == [expected]


def test_an_upscaler_that_is_no_better_than_lanczos_is_noticed():
    assert missed(upscaler_rows(measures(1))) == ["upscaler: decibels over Lanczos"]


def test_a_distilled_mode_is_held_against_speed():
    rows = list(mode_rows(measures(10), Performance.EXTREME_SPEED))
    assert [row.least for row in rows] == [0.85 * row.value for row in rows]
    assert all(row.least is None for row in mode_rows(measures(10), Performance.LIGHTNING))


def test_each_companion_that_is_not_installed_has_a_row_and_the_others_are_measured():
    files = ("sdxl_lcm_lora.safetensors", "fooocus_ip_negative.safetensors", "control-lora-canny-rank128.safetensors",
             UPSCALER_FILE)  # fmt: skip
    rows = list(companion_rows(measures(5, missing=files)))
    told = [row.name for row in rows if "is not installed" in row.name]
    assert told == [f"Extreme Speed: {files[0]} is not installed", f"upscaler: {files[3]} is not installed",
                    f"inpaint: {files[3]} is not installed", f"PyraCanny: {files[2]} is not installed",
                    f"image prompt: {files[1]} is not installed"]  # fmt: skip
    assert missed(rows) == told  # the fake draws what is asked, so all others reach their goals
    assert "style LoRA: pictures that become outlines" in [row.name for row in rows]


def test_image_prompts_show_a_colour_that_their_captions_leave_open():
    assert colour_share(object_picture(PROMPT_COLOUR, 3), PROMPT_COLOUR) > 0.1
    assert not any(colour in caption.split() for caption in OPEN_CAPTIONS for colour in set(COLOURS) - {"white"})
