"""Jobs that repaint or extend a picture, through the engine: on the shipped model, and on one with inpaint engines."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.errors import InvalidRequest, JobCanceled
from fooocus_engine.jobs.events import Event, Stage, Step
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.encode import read_metadata
from fooocus_engine.settings import Settings
from fooocus_engine.types import ModelChoice
from tests.golden.records import OWN_RECORDS
from tests.golden.workbench import BASE, Workbench
from tests.pictures import encoded, text_of, textured

SIZE = (96, 64)
GIVEN = textured(SIZE)
MASK = Image.new("L", SIZE)
MASK.paste(255, (10, 20, 14, 24))
ASKED = {
    "endpoint": "image-inpaint-outpaint",
    "preset": "starter",
    "prompt": "a red cat",
    "image_seed": 11,
    "input_image": text_of(encoded(GIVEN)),
    "input_mask": text_of(encoded(MASK)),
    "advanced_params": {"overwrite_step": 1},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    return Engine(Settings(models_dir=tmp_path_factory.mktemp("models"), device="cpu"))


@pytest.fixture(scope="module")
def patching() -> Iterator[Engine]:
    """An engine with a user's checkpoint and all inpaint engines for it."""
    with Workbench(OWN_RECORDS) as workbench:
        yield Engine(Settings(models_dir=workbench.resources.settings.models_dir, device="cpu", dtype="float32"))


def silent(event: Event) -> None:
    """Nobody listens."""


def ask(engine: Engine, job: Job | None = None, **fields: Any) -> dict[str, Any]:
    return engine.run(ASKED | fields, job or Job("job", silent))


def stored(reply: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(result["base64"].split(",")[1]) for result in reply["job_result"]]


def pictures(reply: dict[str, Any]) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(data))) for data in stored(reply)]


def test_only_the_masked_area_and_its_soft_edge_change(engine):
    reply = ask(engine, image_number=2)
    assert (reply["job_type"], reply["job_stage"]) == ("Image Inpaint or Outpaint", "SUCCESS")
    first, second = pictures(reply)
    old = np.asarray(GIVEN)
    untouched = np.ones(old.shape[:2], bool)
    untouched[: 24 + 31, : 14 + 31] = False
    for made in (first, second):
        assert made.shape == old.shape
        assert np.array_equal(made[untouched], old[untouched])
        assert not np.array_equal(made[20:24, 10:14], old[20:24, 10:14])
    assert not np.array_equal(first[20:24, 10:14], second[20:24, 10:14])
    embedded = read_metadata(stored(reply)[0])
    assert embedded is not None and '"resolution": "(232, 152)"' in embedded.text  # of the canvas


def test_the_parameters_of_a_reply_and_the_pictures_make_the_same_again(engine):
    first = ask(engine, image_seed=-1)
    assert not {"input_image", "input_mask"} & set(first["params"])
    again = ask(engine, **first["params"])
    assert np.array_equal(pictures(first)[0], pictures(again)[0])
    assert first["params"] == again["params"]


def test_an_outpainted_picture_has_grown_around_the_given_one(engine):
    reply = ask(engine, input_mask="", outpaint_selections="Right,Top", outpaint_distance_top="12")
    (made,) = pictures(reply)
    assert made.shape == (64 + 12, 96 + 28, 3)  # int(0.3 · 96) = 28
    kept = np.s_[12 + 31 :, : 96 - 31]
    assert np.array_equal(made[kept], np.asarray(GIVEN)[31:, : 96 - 31])


def test_an_inspection_shows_fill_mask_and_picture_and_loads_no_model(tmp_path):
    fresh = Engine(Settings(models_dir=tmp_path, device="cpu"))
    events: list[Event] = []
    advanced = {"debugging_inpaint_preprocessor": True, "inpaint_respective_field": 0.5}
    reply = ask(fresh, Job("job", events.append), image_number=3, advanced_params=advanced)
    fill, mask, image = pictures(reply)
    assert fill.shape == mask.shape == image.shape == (188, 192, 3)
    assert set(np.unique(mask)) == {0, 255}
    assert np.array_equal(fill[mask == 0], image[mask == 0]) and not np.array_equal(fill, image)
    assert [read_metadata(data) for data in stored(reply)] == [None] * 3
    assert "Loading models ..." not in [event.text for event in events if isinstance(event, Stage)]


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"input_mask": None}, ("input_mask",)),
        ({"input_mask": text_of(encoded(Image.new("L", SIZE)))}, ("input_mask",)),
        ({"input_mask": "no picture"}, ("input_mask",)),
        ({"input_image": "no picture"}, ("input_image",)),
        ({"input_image": ""}, ("input_image",)),
        ({"outpaint_selections": ["Up"]}, ("outpaint_selections",)),
        ({"advanced_params": {"inpaint_strength": 0}}, ("advanced_params", "inpaint_strength")),
        ({"advanced_params": {"inpaint_engine": "v3"}}, ("advanced_params", "inpaint_engine")),
    ],
)
def test_what_cannot_be_done_is_refused_at_its_field(engine, fields, loc):
    with pytest.raises(InvalidRequest) as refused:
        ask(engine, **fields)
    (problem,) = refused.value.problems
    assert problem.loc == ("body", *loc)


def weights(engine: Engine) -> dict[str, torch.Tensor]:
    """A copy of the plain base's UNet weights."""
    with engine.resources.store.prepared(ModelChoice(BASE)) as prepared:
        return {name: weight.clone() for name, weight in prepared.base.unet.named_parameters()}


def on_own_model(**advanced: Any) -> dict[str, Any]:
    return {"base_model_name": BASE, "advanced_params": {"overwrite_step": 2, "inpaint_engine": "v2.6", **advanced}}


def test_a_canceled_job_with_a_patch_leaves_the_weights_as_they_were(patching):
    before = weights(patching)

    def sink(event: Event) -> None:
        if isinstance(event, Step):
            job.cancel()

    job = Job("job", sink)
    with pytest.raises(JobCanceled):
        ask(patching, job, **on_own_model())
    after = weights(patching)
    assert all(torch.equal(before[name], after[name]) for name in before)
    with patching.resources.store.prepared(ModelChoice(BASE)) as prepared:
        assert not prepared.base.unet.conv_in._forward_hooks


def test_an_engine_makes_another_picture_and_the_switch_matters(patching):
    made = {
        name: pictures(ask(patching, **on_own_model(**advanced)))[0]
        for name, advanced in {
            "patched": {},
            "none": {"inpaint_engine": "None"},
            "early": {"overwrite_switch": 0.4},  # round(30 · 0.4) = 12: past the end, as 24 is
            "switched": {"overwrite_switch": 1, "overwrite_step": 3},
            "unswitched": {"overwrite_switch": 3, "overwrite_step": 3},
        }.items()
    }
    assert not np.array_equal(made["patched"], made["none"])
    assert np.array_equal(made["patched"], made["early"])
    assert not np.array_equal(made["switched"], made["unswitched"])
