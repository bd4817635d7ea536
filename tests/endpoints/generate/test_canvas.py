"""Where sampling starts: what is resized, enlarged and encoded, with which autoencoder and which noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fooocus_engine.endpoints.generate.canvas import as_tensor, canvas_of, encoder, enlarged
from fooocus_engine.endpoints.generate.plan import Enlarge, FromText, GenerationPlan, Goal, Upscale, Vary
from fooocus_engine.imaging.resize import resampled
from fooocus_engine.jobs.events import Event, Stage
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.models.codec import LatentCodec
from fooocus_engine.models.store import Prepared
from fooocus_engine.models.upscaler import Upscaler
from fooocus_engine.types import Canvas, Sources
from tests.endpoints.asking import uov_plan
from tests.models.test_codec import SmallDevice
from tests.models.test_upscaler import repeating
from tests.models.tiny import tiny_model
from tests.pictures import textured

PICTURE = textured((50, 30))
SOURCES = Sources(PICTURE)
CODEC = LatentCodec(SmallDevice(1_000_000))
"""Its log variance is not small, so that the noise is seen."""


@pytest.fixture(scope="module")
def planned(tmp_path_factory) -> GenerationPlan:
    return uov_plan(Catalogue(tmp_path_factory.mktemp("models")), (50, 30), "Vary (Subtle)", preset="starter")


def with_goal(plan: GenerationPlan, goal: Goal, size: tuple[int, int] = (64, 40)) -> GenerationPlan:
    return replace(plan, goal=goal, size=size)


def prepared(refiner: str | None = None) -> Prepared:
    base = replace(tiny_model(), codec=CODEC)
    second = replace(tiny_model(), family=refiner, codec=LatentCodec(SmallDevice(9))) if refiner else None
    return Prepared(base, second, None, ())


def silent() -> Job:
    return Job("j", lambda event: None)


def no_upscaler() -> Upscaler:
    raise AssertionError("not needed")


def seeded(plan: GenerationPlan, *shapes: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(plan.encoding_seed)
    return [torch.randn(shape, generator=generator) for shape in shapes]


def test_words_alone_start_from_nothing(planned):
    plan = with_goal(planned, FromText())
    assert canvas_of(plan, Sources(), prepared(), no_upscaler, silent()) == Canvas((64, 40))


def test_a_varied_picture_is_resized_and_encoded_as_a_whole(planned):
    plan = with_goal(planned, Vary((67, 43)))
    canvas = canvas_of(plan, SOURCES, prepared(), no_upscaler, silent())
    (noise,) = seeded(plan, (1, 4, 5, 8))
    expected = CODEC.encode(as_tensor(resampled(PICTURE, (67, 43))), draw=lambda shape: noise)
    assert canvas.size == (64, 40)
    assert torch.equal(canvas.start, expected)


def test_an_upscaled_picture_is_enlarged_and_encoded_in_tiles(planned):
    plan = with_goal(planned, Upscale((67, 43)))
    canvas = canvas_of(plan, SOURCES, prepared(), repeating, silent())
    noise = iter(seeded(plan, *[(1, 4, 5, 8)] * 3))  # three passes of one tile each
    image = resampled(PICTURE.resize((200, 120), Image.Resampling.NEAREST), (67, 43))
    expected = CODEC.encode_tiled(as_tensor(image), draw=lambda shape: next(noise))
    torch.testing.assert_close(canvas.start, expected, atol=0.02, rtol=0)  # soft masks: a level or two of 255


def test_the_noise_follows_the_seed_and_nothing_else(planned):
    plan = with_goal(planned, Vary((64, 40)))
    made = [canvas_of(p, SOURCES, prepared(), no_upscaler, silent()).start for p in (plan, plan)]
    torch.manual_seed(99)
    made.append(canvas_of(plan, SOURCES, prepared(), no_upscaler, silent()).start)
    assert torch.equal(made[0], made[1])
    assert torch.equal(made[0], made[2])
    other = replace(plan, encoding_seed=plan.encoding_seed + 1)
    assert not torch.equal(canvas_of(other, SOURCES, prepared(), no_upscaler, silent()).start, made[0])


@pytest.mark.parametrize(
    ("refiner", "denoise", "alone"),
    [(None, 0.5, False), ("sdxl_refiner", 0.2, False), ("sd15", 0.2, True), ("sd15", 0.85, False), ("sd15", 1, False)],
)
def test_the_refiner_encodes_where_it_samples_alone(planned, refiner, denoise, alone):
    models = prepared(refiner)
    plan = replace(planned, sampling=replace(planned.sampling, steps=30, switch=15, denoise=denoise))
    assert encoder(plan, models) is (models.refiner.codec if alone else models.base.codec)


def test_an_enlargement_is_the_fourfold_picture_resampled_and_its_tiles_are_told(planned):
    events: list[Event] = []
    plan = with_goal(planned, Enlarge((1300, 77)), (1300, 77))
    image = textured((700, 40))
    made = enlarged(plan, Sources(image), repeating, Job("j", events.append))
    whole = resampled(repeating().enlarge(image), (1300, 77))
    assert np.array_equal(made, whole)
    assert [event.text for event in events if isinstance(event, Stage)] == [
        "Image processing ...",
        "Upscaling image from (700, 40) ...",
        "Upscaling image, tile 1/2 ...",
        "Upscaling image, tile 2/2 ...",
    ]


def test_an_enlargement_begins_anew_with_smaller_tiles_where_memory_is_short(planned):
    plan = with_goal(planned, Enlarge((1300, 77)), (1300, 77))
    made = enlarged(plan, Sources(textured((700, 40))), lambda: repeating(limit=300), silent())
    assert made.size == (1300, 77)


def test_a_goal_without_its_picture_is_a_mistake_of_ours(planned):
    for goal in (Vary((64, 40)), Upscale((64, 40))):
        with pytest.raises(ValueError, match="needs a picture"):
            canvas_of(with_goal(planned, goal), Sources(), prepared(), repeating, silent())
    with pytest.raises(ValueError, match="nothing is sampled"):
        canvas_of(with_goal(planned, Enlarge((64, 40))), SOURCES, prepared(), repeating, silent())
