"""An inpaint's pictures: what is worked on, where sampling starts, and what is put back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from PIL import Image

from fooocus_engine.endpoints.generate.canvas import as_tensor
from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.inpaint_outpaint import InpaintRequest
from fooocus_engine.endpoints.generate.plan import FromText, GenerationPlan, Inpaint
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.repainting import (
    inspected,
    margins_of,
    masked_picture,
    region_of,
    repaint_groundwork,
    repaint_sources,
)
from fooocus_engine.errors import InvalidRequest, JobCanceled
from fooocus_engine.imaging.inpaint_region import filled, latent_mask
from fooocus_engine.jobs.events import Event, Stage
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import CHECKPOINTS, Catalogue
from fooocus_engine.models.codec import LatentCodec
from fooocus_engine.models.inpaint_patch import InpaintHead
from fooocus_engine.models.store import Prepared
from fooocus_engine.models.upscaler import Upscaler
from fooocus_engine.settings import Settings
from fooocus_engine.types import Margins, Sources
from tests.endpoints.asking import STYLES, WORDS
from tests.models.test_codec import SmallDevice
from tests.models.test_upscaler import repeating
from tests.models.tiny import tiny_model
from tests.pictures import textured

SIZE = (1000, 1000)  # whole latents, and a class of sizes that is worked at as it is
PICTURE = textured(SIZE)
CODEC = LatentCodec(SmallDevice(10_000_000))
"""Its log variance is not small, so that the noise is seen."""
HEAD = InpaintHead(torch.randn(32, 5, 3, 3, generator=torch.Generator().manual_seed(0)))


@dataclass(frozen=True)
class Networks:
    def upscaler(self) -> Upscaler:
        return repeating()

    def inpaint_head(self) -> InpaintHead:
        return HEAD


def asked(**fields) -> InpaintRequest:
    return validate_generation(
        {"input_image": "taken in", "image_seed": 5, "style_selections": [], **fields},
        InpaintRequest,
        default_preset=preset_named("starter"),
        styles=STYLES,
        limits=Settings(),
    )


def rgb_mask(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    mask = Image.new("RGB", size)
    mask.paste((255, 255, 255), box)
    return mask


def sources(**fields) -> Sources:
    return repaint_sources(asked(**fields), PICTURE, rgb_mask(SIZE, (400, 300, 600, 500)))


def planned(tmp_path, given: Sources, **fields) -> GenerationPlan:
    own = tmp_path / CHECKPOINTS / preset_named("starter").base_model_name
    own.parent.mkdir(exist_ok=True)
    own.touch()  # it has no companion, so that it works at SDXL's size
    return plan_generation(asked(**fields), Catalogue(tmp_path), WORDS, max_loras=5, sources=given)


def silent() -> Job:
    return Job("j", lambda event: None)


def prepared() -> Prepared:
    return Prepared(replace(tiny_model(), codec=CODEC), None, None, ())


def with_patch(plan: GenerationPlan) -> GenerationPlan:
    return replace(plan, models=replace(plan.models, base_patches=(("some.patch", 1.0),)))


def test_without_a_mask_nothing_is_marked_unless_it_is_inverted():
    assert not np.asarray(repaint_sources(asked(), PICTURE, None).mask).any()
    request = asked(advanced_params={"invert_mask_checkbox": True})
    assert np.asarray(repaint_sources(request, PICTURE, None).mask).min() == 255


def test_a_mask_is_grown_before_it_is_inverted_and_before_the_picture_grows():
    advanced = {"invert_mask_checkbox": True, "inpaint_erode_or_dilate": 10}
    made = sources(advanced_params=advanced, outpaint_selections=["Left"], outpaint_distance_left=40)
    mask = np.asarray(made.mask)
    assert made.image.size == (1040, 1000) and mask.shape == (1000, 1040)
    assert (mask[:, :40] == 255).all()
    black = np.argwhere(mask == 0)
    assert black.min(0).tolist() == [290, 40 + 390] and black.max(0).tolist() == [509, 40 + 609]


def test_a_mask_of_another_size_is_brought_to_the_pictures():
    made = repaint_sources(asked(), PICTURE, rgb_mask((100, 50), (40, 15, 60, 25)))
    assert made.mask.size == SIZE
    assert made.mask.getbbox() == (400, 300, 600, 500)


@pytest.mark.parametrize(
    ("fields", "margins"),
    [
        ({}, Margins()),
        ({"outpaint_selections": ["Top", "Left"]}, Margins(top=30, left=45)),
        ({"outpaint_selections": ["Bottom"], "outpaint_distance_bottom": 7}, Margins(bottom=7)),
        ({"outpaint_selections": ["Right", "Bottom"], "outpaint_distance_right": -1}, Margins(bottom=30, right=45)),
        ({"outpaint_distance_top": 50}, Margins()),
    ],
)
def test_margins_are_the_distances_of_chosen_sides(fields, margins):
    assert margins_of(asked(**fields), (150, 100)) == margins


def test_a_picture_that_would_grow_too_large_is_refused_before_it_grows():
    everywhere = {f"outpaint_distance_{side}": 4096 for side in ("left", "right", "top", "bottom")}
    request = asked(outpaint_selections=["Left", "Right", "Top", "Bottom"], **everywhere)
    with pytest.raises(InvalidRequest, match="16192x16192") as error:
        margins_of(request, (8000, 8000))
    assert error.value.problems[0].loc == ("body", "outpaint_selections")
    request = asked(outpaint_selections=["Left"], outpaint_distance_left=4096, save_extension="webp")
    with pytest.raises(InvalidRequest, match="16383"):
        margins_of(request, (14000, 100))


def test_the_start_is_the_encoded_fill_after_the_masked_picture_with_the_requests_noise(tmp_path):
    given = sources()
    plan = planned(tmp_path, given)
    ground = repaint_groundwork(plan, given, prepared(), Networks(), silent())
    region = region_of(plan.goal, given, Networks(), silent())
    generator = torch.Generator().manual_seed(plan.encoding_seed)
    first, second = (torch.randn((1, 4, 125, 125), generator=generator) for _ in range(2))
    expected = CODEC.encode(as_tensor(filled(region)), draw=lambda shape: second)
    assert torch.equal(ground.canvas.start, expected)
    assert ground.canvas.known.latent is ground.canvas.start
    assert np.array_equal(ground.canvas.known.mask[0, 0], latent_mask(region.mask))
    assert ground.shown is None
    patched = repaint_groundwork(with_patch(plan), given, prepared(), Networks(), silent())
    masked = CODEC.encode_uncropped(masked_picture(region), draw=lambda shape: first)
    assert torch.equal(patched.shown, HEAD.feature(ground.canvas.known.mask, masked * 0.13025))


def test_an_empty_start_still_keeps_the_picture(tmp_path):
    given, fields = sources(), {"advanced_params": {"inpaint_disable_initial_latent": True}}
    ground = repaint_groundwork(planned(tmp_path, given, **fields), given, prepared(), Networks(), silent())
    assert ground.canvas.start is None
    assert ground.canvas.known is not None


def test_a_light_inpaint_starts_from_what_was_there(tmp_path):
    given, fields = sources(), {"advanced_params": {"inpaint_strength": 0.5}}
    plan = planned(tmp_path, given, **fields)
    region = region_of(plan.goal, given, Networks(), silent())
    fill, mask, image = inspected(plan.goal, region)
    assert fill is image is region.image
    assert (mask.mode, mask.size) == ("RGB", image.size)


def test_an_unlike_refiner_has_the_start_in_its_own_latents(tmp_path):
    given = sources()
    plan = planned(tmp_path, given)
    other = LatentCodec(SmallDevice(10_000_000))
    models = replace(prepared(), refiner=replace(tiny_model(), family="sd15", codec=other))
    events: list[Event] = []
    known = repaint_groundwork(plan, given, models, Networks(), Job("j", events.append)).canvas.known
    assert not torch.equal(known.for_refiner, known.latent)  # the same autoencoder here, but noise of its own
    texts = [event.text for event in events if isinstance(event, Stage)]
    assert texts == ["Image processing ...", "VAE Inpaint encoding ...", "VAE SD15 encoding ...", "VAE encoding ..."]


def test_percentages_of_the_preparation_are_the_references(tmp_path):
    given = sources()
    events: list[Event] = []
    repaint_groundwork(planned(tmp_path, given), given, prepared(), Networks(), Job("j", events.append))
    told = [(event.percent, event.text) for event in events if isinstance(event, Stage)]
    assert told == [(2, "Image processing ..."), (3, "VAE Inpaint encoding ..."), (4, "VAE encoding ...")]


def test_what_is_painted_is_put_back_into_the_whole_picture(tmp_path):
    given, fields = sources(), {"advanced_params": {"inpaint_respective_field": 0.5}}
    plan = planned(tmp_path, given, **fields)
    ground = repaint_groundwork(plan, given, prepared(), Networks(), silent())
    result = np.asarray(ground.finish(Image.new("RGB", plan.size, (255, 0, 0))))
    old = np.asarray(PICTURE)
    assert result.shape == old.shape
    assert (result[300:500, 400:600] == (255, 0, 0)).all()
    untouched = np.ones(old.shape[:2], bool)
    untouched[300 - 31 : 500 + 31, 400 - 31 : 600 + 31] = False
    assert np.array_equal(result[untouched], old[untouched])


def test_a_cancel_is_heard_between_two_tiles_of_a_small_region(tmp_path):
    small = repaint_sources(asked(), PICTURE.resize((700, 400)), rgb_mask((700, 400), (10, 10, 90, 90)))
    job = silent()
    plan = planned(tmp_path, small)

    class Canceling(Networks):
        def upscaler(self) -> Upscaler:
            job.cancel()
            return repeating()

    with pytest.raises(JobCanceled):
        region_of(plan.goal, small, Canceling(), job)


def test_another_goal_is_not_repainted(tmp_path):
    given = sources()
    plan = replace(planned(tmp_path, given), goal=FromText())
    with pytest.raises(ValueError, match="repainted"):
        repaint_groundwork(plan, given, prepared(), Networks(), silent())
    assert isinstance(planned(tmp_path, given).goal, Inpaint)
