"""The conductor of an enhancement: the parts one after another, each upon what the one before made (image-enhance.md).

A part is planned and made as any other generation; its mask is found here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from fooocus_engine.endpoints.enhance.contract import EnhanceControl, EnhanceRequest
from fooocus_engine.endpoints.enhance.parts import Part, Planner, parts_of, planned, rehearsed, with_words_of
from fooocus_engine.endpoints.enhance.resolved import enhancement_parameters
from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.plan import Enlarge, GenerationPlan
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.publisher import Publisher
from fooocus_engine.endpoints.generate.render import Rendered, render_all, reporting
from fooocus_engine.endpoints.generate.run import (
    Generation,
    Timer,
    enlargement,
    finished,
    groundwork,
    understood,
    worded,
)
from fooocus_engine.endpoints.generate.screening import screened
from fooocus_engine.endpoints.generate.seeds import with_seed
from fooocus_engine.endpoints.generate.webhook import check_webhook
from fooocus_engine.endpoints.intake import take_in
from fooocus_engine.endpoints.mask.run import found_mask
from fooocus_engine.endpoints.mask.settings import MaskSettings, files_of
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.imaging.box import repaints
from fooocus_engine.imaging.masks import grown, inverted
from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.types import ImageResult, OnStep, Sources

ENDPOINT = "image-enhance"
UNCHANGED = "nothing was found that could be enhanced; the result is the given picture"


FindMask = Callable[[Image.Image, MaskSettings], Image.Image]
"""What looks for a part of a picture."""


@dataclass(frozen=True, eq=False)
class Made:
    """A picture of the row, and the plan that it is stored by."""

    picture: Rendered
    plan: GenerationPlan
    aside: bool = False
    """Only shown: nothing goes on from it."""


@dataclass(frozen=True, eq=False)
class Enhancement:
    """What is enhanced, how, with what and for whom."""

    request: EnhanceRequest
    parts: tuple[Part, ...]
    image: Image.Image
    resources: Resources
    job: Job
    timer: Timer
    find: FindMask
    warnings: list[str] = field(default_factory=list)
    """Grows while the models work."""

    def plans(self) -> tuple[GenerationPlan, ...]:
        """Of the parts, as rehearsed."""
        return tuple(rehearsed(self.parts, self.image.size, planner_of(self.resources)))


def run_enhance(fields: Mapping[str, Any], resources: Resources, job: Job) -> dict[str, Any]:
    """The reply of api.md §6.3 for canonical ``fields``.

    Raises:
        InvalidRequest: before any model is touched.
        JobCanceled: within one sampling step, one tile of the upscaler or one look of a network of a cancel.
    """
    timer = Timer()
    request = with_seed(understood(fields, EnhanceRequest, resources))
    check_webhook(request, resources.storage)
    image = take_in(request.enhance_input_image, ("body", "enhance_input_image"), resources.http)
    parts = parts_of(request, fields)
    find = partial(found_mask, resources=resources, check=job.check)
    enhancement = Enhancement(request, parts, image, resources, job, timer, find)
    plans = enhancement.plans()
    for file in (file for part in parts if part.control for file in files_of(_search(part.control, request))):
        resources.catalogue.find(*file)  # all are missed before any model is loaded
    results = enhance(enhancement, plans)
    told = dict.fromkeys([*(text for plan in plans for text in plan.warnings), *enhancement.warnings])
    return finished(ENDPOINT, results, told, enhancement_parameters(request, parts, plans), timer)


def planner_of(resources: Resources) -> Planner:
    """Plans parts on this server."""

    def plan(fields: Mapping[str, Any], model: type[GenerateRequest], sources: Sources) -> GenerationPlan:
        request, most = understood(fields, model, resources), resources.settings.max_loras
        return plan_generation(request, resources.catalogue, resources.words, max_loras=most, sources=sources)

    return plan


def enhance(enhancement: Enhancement, plans: tuple[GenerationPlan, ...]) -> list[ImageResult]:
    """The stored pictures; ``plans`` are those of the rehearsal."""
    job, resources, first = enhancement.job, enhancement.resources, enhancement.request.image_index_offset
    with Publisher(plans[0], resources, job) as publisher:
        with resources.gpu_turn(job):
            for index, made in enumerate(wanted(enhancement, plans), start=first):
                task = replace(made.picture.task, index=index)
                publisher.add(replace(made.picture, task=task), made.plan)
        return publisher.results()


def wanted(enhancement: Enhancement, plans: tuple[GenerationPlan, ...]) -> Iterator[Made]:
    """What the client gets: the last picture, or all of them; and what is shown aside."""
    every, last = not enhancement.request.save_final_enhanced_image_only, None
    for made in row(enhancement, plans):
        if every or made.aside:
            yield made
        if not made.aside:
            last = made
    if last is None:
        enhancement.warnings.append(UNCHANGED)
        yield _as_it_is(enhancement.image, plans[0])
    elif not every:
        yield last


def row(enhancement: Enhancement, plans: tuple[GenerationPlan, ...]) -> Iterator[Made]:
    """The pictures that the parts make, one after another. The caller holds the turn on the device."""
    job, image, words = enhancement.job, enhancement.image, None
    job.stage(Phase.INITIALIZING)
    job.stage(Phase.ENHANCING)
    job.expect_parts([0 if isinstance(plan.goal, Enlarge) else plan.sampling.steps for plan in plans])
    for number, part in enumerate(enhancement.parts):
        mask = None
        if part.control is not None:
            mask = mask_of(part.control, number, image, enhancement)
            if enhancement.request.advanced_params.debugging_enhance_masks_checkbox:
                yield _as_it_is(mask.convert("RGB"), plans[number], aside=True)
            if not repaints(mask):
                continue
            words = part
        elif part.borrows_words and words is not None:
            part = with_words_of(part, words)
        made = part_made(part, number, Sources(image, mask), enhancement)
        image = made.picture.image
        yield made


def mask_of(control: EnhanceControl, number: int, image: Image.Image, enhancement: Enhancement) -> Image.Image:
    """What of ``image`` the control of the part of that ``number`` makes anew, L; black where it finds nothing."""
    place, all_of_them = (
        sum(part.control is not None for part in parts)
        for parts in (enhancement.parts[: number + 1], enhancement.parts)
    )
    enhancement.job.stage(Phase.ENHANCEMENT, place, all_of_them)
    settings = _search(control, enhancement.request)
    found = np.asarray(enhancement.find(image, settings))
    mask = grown(found, int(control.enhance_inpaint_erode_or_dilate))
    return Image.fromarray(inverted(mask) if control.enhance_mask_invert else mask)


def part_made(part: Part, number: int, sources: Sources, enhancement: Enhancement) -> Made:
    """What ``part``, the one of that ``number``, makes of ``sources``."""
    resources, job = enhancement.resources, enhancement.job
    plan = planned(part, sources, planner_of(resources))
    generation = Generation(plan, sources, resources, job, enhancement.timer, enhancement.warnings)
    if isinstance(plan.goal, Enlarge):
        (picture,) = enlargement(generation)
    else:
        picture = sampled(generation, number)
    picture = screened(picture, plan, enhancement.warnings, resources, job)
    job.save_image(number)
    return Made(picture, plan)


def sampled(generation: Generation, number: int) -> Rendered:
    """The one picture of a part."""
    plan, resources, job = generation.plan, generation.resources, generation.job
    job.stage(Phase.LOADING_MODELS)
    with resources.store.prepared(plan.models) as prepared:
        generation.warnings.extend(prepared.warnings)
        generation.timer.lap("load")
        job.stage(Phase.ENHANCE_PROMPTS)
        steered = worded(generation, prepared)
        ground = groundwork(generation, prepared)
        job.stage(Phase.MOVING_MODEL)
        previews = resources.store.preview if plan.previews else None

        def begin(_: int) -> OnStep:
            return reporting(job, number, prepared, previews)

        (picture,) = render_all(plan, steered, prepared, ground, begin)
    generation.timer.lap("sample")
    return picture


def _as_it_is(image: Image.Image, plan: GenerationPlan, *, aside: bool = False) -> Made:
    """``image``, which no words made, stored by a plan without metadata."""
    bare = replace(plan, output=replace(plan.output, metadata_scheme=None))
    return Made(Rendered(plan.images[0], "", image), bare, aside)


def _search(control: EnhanceControl, request: EnhanceRequest) -> MaskSettings:
    return control.mask_settings(request.advanced_params)
