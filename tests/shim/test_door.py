"""What a door knows when it opens."""

from __future__ import annotations

import asyncio
import json

import pytest

from fooocus_engine.engine import installed_words
from fooocus_engine.models.places import installed
from fooocus_engine.settings import Settings
from fooocus_engine.shim.door import opened_door
from fooocus_engine.shim.settings import ShimSettings


def with_style(folder, name):
    """A models folder with a style of its own."""
    (folder / "sdxl_styles").mkdir(parents=True)
    style = [{"name": name, "prompt": "own words {prompt}"}]
    (folder / "sdxl_styles" / "sdxl_styles_own.json").write_text(json.dumps(style), encoding="utf-8")
    return folder


def known_styles(settings):
    async def opened():
        async with opened_door(ShimSettings(), settings) as door:
            return tuple(door.understanding.styles)

    return asyncio.run(opened())


@pytest.mark.parametrize("place", ["first", "second", "volume"])
def test_styles_are_those_that_a_worker_of_the_same_settings_finds_wherever_they_lie(tmp_path, place):
    folder = tmp_path / "volume" / "models" if place == "volume" else tmp_path / place
    with_style(folder, "made here")
    settings = Settings(
        models_dir=tmp_path / "first",
        more_models_dirs=(tmp_path / "second",),
        volume_dir=tmp_path / "volume",
        data_dir=tmp_path,
    )
    names = known_styles(settings)
    assert names[-1] == "Made Here"
    assert names == tuple(installed_words(installed(settings)).styles.legal_names())


def test_of_two_folders_of_styles_the_first_counts(tmp_path):
    first, second = with_style(tmp_path / "first", "one"), with_style(tmp_path / "second", "two")
    settings = Settings(models_dir=first, more_models_dirs=(second,), data_dir=tmp_path)
    assert known_styles(settings)[-1] == "One"
