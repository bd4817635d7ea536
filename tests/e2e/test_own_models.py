"""The recordings' models, installed as a user's own: what the shipped model has no part for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fooocus_engine.engine import Engine
from fooocus_engine.jobs.job import Job
from tests.e2e.asking import ask, pictures, silent, stored
from tests.golden.records import OWN_RECORDS
from tests.golden.workbench import BASE, Workbench

SMALL = {"base_model_name": BASE, "aspect_ratios_selection": "64*64"}
CHANGES: dict[str, dict[str, Any]] = {
    "freeu": {"advanced_params": {"overwrite_step": 4, "freeu_enabled": True, "freeu_b1": 1.4}},
    "expansion": {"style_selections": ["Fooocus V2"]},
}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """They have a prompt expander, and layers of the widths that FreeU works on."""
    with Workbench(OWN_RECORDS) as bench:
        yield Engine(bench.resources.settings)


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_changes_its_picture_and_no_later_one(engine, name):
    before = pictures(ask(engine, **SMALL))[0]
    assert not np.array_equal(pictures(ask(engine, **SMALL, **CHANGES[name]))[0], before)
    assert np.array_equal(pictures(ask(engine, **SMALL))[0], before)


def test_the_parameters_of_a_reply_make_the_picture_again(engine):
    changes = {"performance_selection": "Hyper-SD", "style_selections": ["Fooocus V2"], "sharpness": 5}
    first = ask(engine, **SMALL, **changes, image_seed=-1)
    again = engine.run(first["params"] | {"endpoint": "text-to-image"}, Job("job", silent))
    assert stored(again) == stored(first)
    assert again["params"] == first["params"]
