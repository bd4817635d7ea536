"""Goal and given pictures → where sampling starts: resized or enlarged, then encoded (image-uov.md §§1, 2).

Joins the networks with the pixel rules. Runs inside the engine's turn on the device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fooocus_engine.endpoints.generate.plan import (
    Enlarge,
    FromText,
    GenerationPlan,
    Inpaint,
    Inspect,
    InspectControls,
    Upscale,
    Vary,
)
from fooocus_engine.imaging.resize import resampled, resampled_bands
from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.models.codec import LatentCodec
from fooocus_engine.models.store import Prepared
from fooocus_engine.models.upscaler import SCALE, Upscaler
from fooocus_engine.sampling.refiner import Method, refiner_method
from fooocus_engine.types import Canvas, Sources

UpscalerOf = Callable[[], Upscaler]
"""Loads the upscaler when it is needed."""


def canvas_of(plan: GenerationPlan, sources: Sources, prepared: Prepared, upscaler: UpscalerOf, job: Job) -> Canvas:
    """Where the pictures of ``plan`` start.

    Raises:
        ModelUnavailable, BadModelFile: the upscaler is needed and cannot be had.
    """
    match plan.goal:
        case Vary(size=size):
            job.stage(Phase.IMAGE_PROCESSING)
            image = resampled(given(sources), size)
            job.stage(Phase.ENCODING_GIVEN)
            return Canvas(plan.size, encoder(plan, prepared).encode(as_tensor(image), draw=noise(plan)))
        case Upscale():
            image = enlarged(plan, sources, upscaler, job)
            job.stage(Phase.ENCODING_UPSCALED)
            return Canvas(plan.size, encoder(plan, prepared).encode_tiled(as_tensor(image), draw=noise(plan)))
        case FromText():
            if plan.steering.tasks:
                job.stage(Phase.IMAGE_PROCESSING)
            return Canvas(plan.size)
        case Enlarge() | Inpaint() | Inspect() | InspectControls():
            raise ValueError("nothing is sampled, or the start is a repainting")


def enlarged(plan: GenerationPlan, sources: Sources, upscaler: UpscalerOf, job: Job) -> Image.Image:
    """The given picture through the super-resolution network, at the size of the goal.

    Raises:
        ModelUnavailable, BadModelFile: the upscaler cannot be had.
    """
    if not isinstance(plan.goal, Upscale | Enlarge):
        raise ValueError("nothing is to be enlarged")
    alone, image = isinstance(plan.goal, Enlarge), given(sources)
    job.stage(Phase.IMAGE_PROCESSING)
    job.stage(Phase.UPSCALING, image.size)
    fourfold = SCALE * image.width, SCALE * image.height
    return upscaler().enlarge(
        image, partial(job.tile, alone=alone), join=partial(resampled_bands, full=fourfold, size=plan.goal.size)
    )


def encoder(plan: GenerationPlan, prepared: Prepared) -> LatentCodec:
    """The autoencoder in whose latents sampling starts: the refiner's where it runs alone (sampling.md §10.5)."""
    refiner = prepared.refiner
    alone = refiner_method(plan.sampling, refiner.family if refiner else None) is Method.REFINER
    codec = refiner.codec if refiner and alone else prepared.base.codec
    if codec is None:
        raise ValueError("the model has no autoencoder")
    return codec


def noise(plan: GenerationPlan) -> Callable[[torch.Size], Tensor]:
    """The noise of a task's encodings, one draw after another, whatever earlier jobs drew (sampling.md §8.3)."""
    generator = torch.Generator().manual_seed(plan.encoding_seed)
    return lambda shape: torch.randn(shape, generator=generator)


def as_tensor(image: Image.Image) -> Tensor:
    """``image`` (RGB) as float32 ``[1, 3, H, W]`` in 0..1."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def given(sources: Sources) -> Image.Image:
    """The picture of a goal that needs one."""
    if sources.image is None:
        raise ValueError("the goal needs a picture")
    return sources.image
