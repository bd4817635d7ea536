"""The README shows the gallery, and each of its pictures is there in the model's own size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builder.starter.gallery import PROMPTS, SEED, file_name, table
from builder.starter.model import NATIVE
from builder.starter.painter import Painter, Wanted

ROOT = Path(__file__).parents[3]
FOLDER = Path("docs/pictures")
MOST_BYTES = 100_000


def test_the_readme_shows_the_table_as_it_is_printed():
    assert table(FOLDER) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_picture_has_a_name_of_its_own():
    assert len({file_name(prompt) for prompt in PROMPTS}) == len(PROMPTS)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_picture_is_there(prompt):
    path = ROOT / FOLDER / file_name(prompt)
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", NATIVE)
    assert path.stat().st_size <= MOST_BYTES


def test_the_pictures_are_those_of_the_shipped_model(tmp_path):
    prompt = PROMPTS[1]
    drawn = np.asarray(Painter(tmp_path).picture(Wanted(prompt, SEED)), float)
    with Image.open(ROOT / FOLDER / file_name(prompt)) as picture:
        shown = np.asarray(picture.convert("RGB"), float)
    assert np.abs(drawn - shown).mean() < 1  # levels: other processors round otherwise; other weights draw another
