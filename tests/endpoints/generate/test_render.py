"""What stands between a plan and its pictures: the sampled size, and the reports of steps."""

import numpy as np
import pytest
import torch
from PIL import Image

from fooocus_engine.endpoints.generate.render import reporting
from fooocus_engine.jobs.events import MAX_PREVIEW_BYTES
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.store import Prepared
from fooocus_engine.types import Step
from tests.sampling.stages import fake_model

X = torch.zeros(1, 4, 8, 8)
STEPS = (Step(0, 2, X, X, by="base"), Step(1, 2, X, X, by="refiner"))


def families_asked(prepared: Prepared, job: Job) -> list[str]:
    """Whose preview decoders are asked for in two steps, one of either model."""
    asked: list[str] = []
    on_step = reporting(job, 0, prepared, asked.append)
    for step in STEPS:
        on_step(step)
    return asked


@pytest.mark.parametrize(
    ("refiner", "families"), [("sd15", ["sdxl", "sd15"]), ("sdxl_refiner", ["sdxl", "sdxl_refiner"])]
)
def test_a_preview_is_drawn_by_the_decoder_of_the_latents_that_are_reported(refiner, families):
    prepared = Prepared(fake_model(), fake_model(refiner), None, ())
    assert families_asked(prepared, Job("j", lambda event: None, preview_interval_s=0)) == families


def test_no_decoder_is_asked_for_where_no_preview_is_wanted():
    prepared = Prepared(fake_model(), None, None, ())
    assert families_asked(prepared, Job("j", lambda event: None, preview_interval_s=None)) == []


def test_steps_are_told_without_previews_where_none_can_be_drawn():
    events = []
    on_step = reporting(Job("j", events.append), 3, Prepared(fake_model(), None, None, ()), None)
    on_step(STEPS[0])
    assert [(event.image, event.step, event.preview) for event in events] == [(3, 0, None)]


class Noisy:
    """Draws what no format can pack."""

    def render(self, x0):
        side = 2 * x0.shape[-1]
        return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


@pytest.mark.parametrize("latent", [64, 256])  # pictures of 512 and 2048 pixels, the largest
def test_every_preview_fits_into_an_update(latent):
    events, x = [], torch.zeros(1, 4, latent, latent)
    job = Job("j", events.append, preview_interval_s=0)
    reporting(job, 0, Prepared(fake_model(), None, None, ()), lambda family: Noisy())(Step(0, 2, x, x))
    assert MAX_PREVIEW_BYTES / 10 < len(events[0].preview) <= MAX_PREVIEW_BYTES
