"""Pictures that steer besides the words: how a kind is prepared, and what it becomes for the UNet (image-control.md).

Joins the pixel rules with the networks. All of it is done once for all pictures of a request, inside the engine's turn
on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import MappingProxyType

import numpy as np
from PIL import Image

from fooocus_engine.conditioning.control import ImageControl, image_control
from fooocus_engine.endpoints.generate.encoders import control_network, face_finder, image_prompter
from fooocus_engine.endpoints.generate.files import ADAPTERS, CONTROL_LORAS
from fooocus_engine.endpoints.generate.image_prompts import Kind
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.imaging.depth_lines import cpds
from fooocus_engine.imaging.edges import pyra_canny
from fooocus_engine.imaging.face_crop import aligned
from fooocus_engine.imaging.resize import Fit, resampled, resized
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.image_attention import ImagePrompt
from fooocus_engine.types import Sources

LARGEST_SEARCHED = 16_000_000  # pixels of a picture in which a face is looked for as it is (decision 0041)
LOOKED_AT = (224, 224)  # pixels that the published vision network sees (image-control.md §4.1)

Prepare = Callable[[Image.Image, GenerationPlan, Resources], Image.Image]
"""RGB to RGB."""


def _edges(image: Image.Image, plan: GenerationPlan, resources: Resources) -> Image.Image:
    return Image.fromarray(pyra_canny(np.asarray(image), *plan.steering.thresholds)).convert("RGB")


def _structure(image: Image.Image, plan: GenerationPlan, resources: Resources) -> Image.Image:
    return Image.fromarray(cpds(np.asarray(image))).convert("RGB")


def _face(image: Image.Image, plan: GenerationPlan, resources: Resources) -> Image.Image:
    """The face, upright; the whole picture where there is none."""
    seen, scale = image, max(1.0, math.sqrt(image.width * image.height / LARGEST_SEARCHED))
    if scale > 1:
        seen = resampled(image, (int(image.width / scale), int(image.height / scale)))
    landmarks = face_finder(plan.models.base, resources).landmarks(np.asarray(seen))
    if landmarks is None:
        return image
    return Image.fromarray(aligned(np.asarray(image), landmarks * np.divide(image.size, seen.size, dtype=np.float32)))


PREPARE: Mapping[Kind, Prepare] = MappingProxyType(
    {Kind.CANNY: _edges, Kind.CPDS: _structure, Kind.IMAGE: lambda image, plan, resources: image, Kind.FACE: _face}
)


def prepared_pictures(plan: GenerationPlan, sources: Sources, resources: Resources, job: Job) -> list[Image.Image]:
    """The picture of every task as it steers, RGB: those for control networks at the size of what is made.

    Raises:
        ModelUnavailable, BadModelFile: the face detector is needed and cannot be had.
    """
    made = []
    for task in plan.steering.tasks:
        job.check()
        image = sources.controls[task.source]
        if task.kind in CONTROL_LORAS:
            image = resized(image, plan.size, Fit.COVER)
        if not plan.steering.preprocessed:
            image = PREPARE[task.kind](image, plan, resources)
        made.append(image)
    return made


def steering_networks(
    plan: GenerationPlan, pictures: Sequence[Image.Image], base: DiffusionModel, resources: Resources
) -> tuple[tuple[ImageControl, ...], tuple[ImagePrompt, ...]]:
    """What steers the UNet of ``base`` by ``prepared_pictures``: control networks, and image prompts.

    Raises:
        ModelUnavailable, BadModelFile: a file cannot be had, or is for another kind of base model.
    """
    steering, controls, prompts = plan.steering, [], []
    network = cache(lambda kind: control_network(CONTROL_LORAS[kind], plan.models.base, base, resources))
    prompter = cache(lambda kind: image_prompter(ADAPTERS[kind], plan.models.base, base.unet, resources))
    for task, picture in zip(steering.tasks, pictures, strict=True):
        if task.kind in ADAPTERS:
            prompts.append(prompter(task.kind).prompt(picture, weight=task.weight, stop=task.stop))
        else:
            controls.append(
                image_control(
                    network(task.kind),
                    np.asarray(picture),
                    weight=task.weight,
                    stop=task.stop,
                    softness=steering.softness,
                )
            )
    return tuple(controls), tuple(prompts)


def inspected_controls(plan: GenerationPlan, sources: Sources, resources: Resources, job: Job) -> list[Image.Image]:
    """The same with image prompts and faces at the size that the vision network sees.

    Raises:
        ModelUnavailable, BadModelFile: the face detector is needed and cannot be had.
    """
    pictures = prepared_pictures(plan, sources, resources, job)
    return [
        resampled(picture, LOOKED_AT) if task.kind in ADAPTERS else picture
        for task, picture in zip(plan.steering.tasks, pictures, strict=True)
    ]
