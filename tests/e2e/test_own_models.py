"""The recordings' models, installed as a user's own: what the shipped model has no part for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fooocus_engine.engine import Engine
from fooocus_engine.errors import JobCanceled
from fooocus_engine.jobs.events import Event, Step
from fooocus_engine.jobs.job import Job
from tests.e2e.asking import PLAIN, ask, pictures, silent, stored
from tests.golden.records import OWN_RECORDS
from tests.golden.workbench import BASE, Workbench

SMALL = {"base_model_name": BASE, "aspect_ratios_selection": "64*64"}
CHANGES: dict[str, dict[str, Any]] = {
    "lora": {"performance_selection": "Lightning"},
    "lcm": {"performance_selection": "Extreme Speed"},
    "hyper": {"performance_selection": "Hyper-SD"},
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


class Cancelling:
    """Gives the job up at a step, and counts what it still hears of."""

    def __init__(self, at: int) -> None:
        self.at, self.job, self.later = at, None, []

    def __call__(self, event: Event) -> None:
        if self.job and self.job.canceled:
            self.later.append(event)
        if isinstance(event, Step) and event.step == self.at and self.job:
            self.job.cancel()


def test_a_cancel_is_heard_within_a_step_and_leaves_nothing_behind(engine):
    before = pictures(ask(engine, **SMALL))[0]
    sink = Cancelling(at=1)
    sink.job = Job("job", sink)
    changed = {"performance_selection": "Lightning", "advanced_params": {"freeu_enabled": True}}
    with pytest.raises(JobCanceled):
        engine.run(PLAIN | SMALL | changed, sink.job)
    assert [event for event in sink.later if isinstance(event, Step)] == []
    assert np.array_equal(pictures(ask(engine, **SMALL))[0], before)
