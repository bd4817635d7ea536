"""How much memory pictures take at their largest, measured in processes of their own (decisions 0025, 0026)."""

from __future__ import annotations

import subprocess
import sys

import pytest

MEGABYTE = 1_000_000
PEAK = "import resource\ndef peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
DECODING = """
from fooocus_engine.endpoints.intake import opened
from tests.pictures import see_through
data = see_through({width}, {height})
before = peak()
assert opened(data, ("body", "input_image")).size == ({height}, {width})
print(before, peak())
"""
ENLARGING = """
from functools import partial
from PIL import Image
from fooocus_engine.imaging.resize import resampled_bands
from tests.models.test_upscaler import repeating
image = Image.new("RGB", ({width}, {height}), (255, 0, 0))
upscaler = repeating()
upscaler.enlarge(Image.new("RGB", (8, 8)))
before = peak()
join = partial(resampled_bands, full=(4 * {width}, 4 * {height}), size=(2 * {width}, 2 * {height}))
assert upscaler.enlarge(image, join=join).size == (2 * {width}, 2 * {height})
print(before, peak())
"""
REPAINTING = """
import numpy as np
from PIL import Image
from fooocus_engine.imaging.box import Box
from fooocus_engine.imaging.inpaint_region import cut_out, pasted
from fooocus_engine.imaging.masks import grown, inverted, repaint_mask
from fooocus_engine.imaging.outpaint import outpainted
from fooocus_engine.types import Margins
before = peak()
image, mask = Image.new("RGB", ({width}, {height}), (255, 0, 0)), Image.new("RGB", ({width}, {height}))
white = inverted(grown(repaint_mask(mask, image.size), 9))
del mask
image, white = outpainted(image, white, Margins(right=100))
region = cut_out(image, white, Box(0, {height}, 0, {width} + 100), lambda part: part)
assert pasted(image, region, region.image).size == ({width} + 100, {height})
print(before, peak())
"""


def growth(code: str, width: int, height: int) -> float:
    """Megabytes that a process grew by, at its largest."""
    command = [sys.executable, "-c", PEAK + code.format(width=width, height=height)]
    before, after = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return (int(after) - int(before)) / MEGABYTE


@pytest.mark.slow
@pytest.mark.parametrize(("width", "height", "most"), [(3840, 2160, 1500), (2160, 3840, 1000)])
def test_the_fourfold_picture_is_never_there_as_a_whole(width, height, most):
    assert growth(ENLARGING, width, height) < most


@pytest.mark.slow
def test_decoding_takes_some_bytes_a_pixel():
    assert growth(DECODING, 6000, 4000) < 24 * 13 + 100


@pytest.mark.slow
def test_repainting_takes_some_bytes_a_pixel():
    assert growth(REPAINTING, 6000, 4000) < 24 * 18 + 100
