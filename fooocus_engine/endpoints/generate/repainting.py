"""An inpaint from the client's pictures to where sampling starts, and from the sampled picture back into the given one.

Joins the mask and region rules of ``imaging`` with the networks (image-inpaint.md). Runs inside the engine's turn on
the device, but for ``repaint_sources``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fooocus_engine.endpoints.generate.canvas import Groundwork, UpscalerOf, as_tensor, encoder, noise
from fooocus_engine.endpoints.generate.inpaint_outpaint import Direction, InpaintRequest
from fooocus_engine.endpoints.generate.plan import GenerationPlan, Inpaint
from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.imaging.inpaint_region import Region, cut_out, filled, latent_mask, pasted
from fooocus_engine.imaging.masks import Mask, grown, inverted, repaint_mask
from fooocus_engine.imaging.outpaint import default_distance, outpainted
from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.models.inpaint_patch import InpaintHead
from fooocus_engine.models.store import Prepared
from fooocus_engine.types import Canvas, Known, Margins, Sources

MASKED_GREY = 0.5  # of 0–1: what stands for repainted pixels in the masked picture


def repaint_sources(request: InpaintRequest, image: Image.Image, mask: Image.Image | None) -> Sources:
    """``image`` and ``mask`` (RGB, any size) of a client as they are worked on: of one size, outpainting done.

    Raises:
        InvalidRequest: the picture would grow too large.
    """
    advanced, margins = request.advanced_params, margins_of(request, image.size)
    white = np.zeros((image.height, image.width), np.uint8) if mask is None else repaint_mask(mask, image.size)
    white = grown(white, advanced.inpaint_erode_or_dilate)
    if advanced.invert_mask_checkbox:
        white = inverted(white)
    image, white = outpainted(image, white, margins)
    return Sources(image, Image.fromarray(white))


def margins_of(request: InpaintRequest, size: tuple[int, int]) -> Margins:
    """By how much a picture of ``size`` (width, height) grows."""
    width, height = size

    def distance(direction: Direction, asked: int, length: int) -> int:
        if direction not in request.outpaint_selections:
            return 0
        return asked if asked > 0 else default_distance(length)

    return Margins(
        top=distance(Direction.TOP, request.outpaint_distance_top, height),
        bottom=distance(Direction.BOTTOM, request.outpaint_distance_bottom, height),
        left=distance(Direction.LEFT, request.outpaint_distance_left, width),
        right=distance(Direction.RIGHT, request.outpaint_distance_right, width),
    )


def inpaint_groundwork(
    plan: GenerationPlan, sources: Sources, prepared: Prepared, networks: Networks, job: Job
) -> Groundwork:
    """Where the pictures of an inpaint start, what the UNet is shown besides, and how they end.

    Raises:
        ModelUnavailable, BadModelFile: the upscaler or the head is needed and cannot be had.
    """
    goal = _inpaint(plan.goal)
    job.stage(Phase.IMAGE_PROCESSING)
    region = region_of(goal, sources, networks, job)
    codec, draw, mask = encoder(plan, prepared), noise(plan), torch.from_numpy(latent_mask(region.mask))[None, None]
    job.stage(Phase.ENCODING_MASKED)
    masked = codec.encode_uncropped(masked_picture(region), draw=draw)
    fill = as_tensor(filled(region) if goal.filled else region.image)
    other = second_encoder(plan, prepared)
    if other is not None:
        job.stage(Phase.ENCODING_SD15)
    for_refiner = other.encode(fill, draw=draw) if other is not None else None
    job.stage(Phase.ENCODING_UPSCALED)
    latent = codec.encode(fill, draw=draw)
    known = Known(latent, mask, latent if for_refiner is None else for_refiner)
    scaled = masked * prepared.base.latent_scale
    return Groundwork(
        Canvas(plan.size, None if goal.empty else latent, known),
        shown=networks.inpaint_head().feature(mask, scaled) if goal.engine is not None else None,
        finish=partial(pasted, given(sources), region),
    )
