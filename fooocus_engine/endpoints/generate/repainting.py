"""An inpaint: from the client's pictures to where sampling starts, and from what is painted back into the given one.

Joins the mask and region rules of ``imaging`` with the networks (image-inpaint.md). All but ``repaint_sources`` runs
inside the engine's turn on the device.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from fooocus_engine.endpoints.generate.canvas import as_tensor, encoder, given, noise
from fooocus_engine.endpoints.generate.goals import check_result
from fooocus_engine.endpoints.generate.inpaint_outpaint import Direction, RepaintRequest
from fooocus_engine.endpoints.generate.plan import GenerationPlan, Inpaint
from fooocus_engine.endpoints.generate.render import Groundwork
from fooocus_engine.imaging.inpaint_region import Region, cut_out, filled, latent_mask, pasted
from fooocus_engine.imaging.masks import grown, inverted, repaint_mask
from fooocus_engine.imaging.outpaint import default_distance, outpainted
from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.models.codec import LatentCodec
from fooocus_engine.models.inpaint_patch import InpaintHead
from fooocus_engine.models.store import Prepared
from fooocus_engine.models.upscaler import Upscaler
from fooocus_engine.sampling.refiner import Method, refiner_method
from fooocus_engine.types import Canvas, Known, Margins, Sources

MASKED = 0.5  # of 0–1: what stands in the encoded picture for what is repainted


class Networks(Protocol):
    """What is loaded where it is needed."""

    def upscaler(self) -> Upscaler:
        """For regions that are small."""

    def inpaint_head(self) -> InpaintHead:
        """Of a patched base."""


def repaint_sources(request: RepaintRequest, image: Image.Image, mask: Image.Image | None) -> Sources:
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


def margins_of(request: RepaintRequest, size: tuple[int, int]) -> Margins:
    """By how much a picture of ``size`` (width, height) grows.

    Raises:
        InvalidRequest: it would grow too large.
    """
    width, height = size

    def distance(direction: Direction, asked: int, length: int) -> int:
        if direction not in request.outpaint_selections:
            return 0
        return asked if asked > 0 else default_distance(length)

    margins = Margins(
        top=distance(Direction.TOP, request.outpaint_distance_top, height),
        bottom=distance(Direction.BOTTOM, request.outpaint_distance_bottom, height),
        left=distance(Direction.LEFT, request.outpaint_distance_left, width),
        right=distance(Direction.RIGHT, request.outpaint_distance_right, width),
    )
    larger = width + margins.left + margins.right, height + margins.top + margins.bottom
    check_result(larger, request, "outpaint_selections")
    return margins


def region_of(goal: Inpaint, sources: Sources, networks: Networks, job: Job) -> Region:
    """The part of the given picture that is worked on.

    Raises:
        ModelUnavailable, BadModelFile: the upscaler is needed and cannot be had.
    """
    job.stage(Phase.IMAGE_PROCESSING)
    if sources.mask is None:
        raise ValueError("an inpaint needs a mask")

    def enlarge(part: Image.Image) -> Image.Image:
        return networks.upscaler().enlarge(part, lambda done, total: job.check())

    return cut_out(given(sources), np.asarray(sources.mask), goal.box, enlarge, goal.shape)


def start_picture(goal: Inpaint, region: Region) -> Image.Image:
    """What is encoded for sampling to start from, and to keep where nothing is repainted."""
    return filled(region) if goal.filled else region.image


def inspected(goal: Inpaint, region: Region) -> list[Image.Image]:
    """The fill, the mask and the picture, in this order (image-inpaint.md §7)."""
    return [start_picture(goal, region), Image.fromarray(region.mask).convert("RGB"), region.image]


def repaint_groundwork(
    plan: GenerationPlan, sources: Sources, prepared: Prepared, networks: Networks, job: Job
) -> Groundwork:
    """Where the pictures of an inpaint start, what the UNet is shown besides, and how they end.

    Raises:
        ModelUnavailable, BadModelFile: the upscaler or the head is needed and cannot be had.
    """
    goal = plan.goal
    if not isinstance(goal, Inpaint):
        raise ValueError("nothing is to be repainted")
    region = region_of(goal, sources, networks, job)
    mask = torch.from_numpy(latent_mask(region.mask))[None, None]
    job.stage(Phase.ENCODING_MASKED)
    codec, draw = encoder(plan, prepared), noise(plan)
    masked = codec.encode_uncropped(masked_picture(region), draw=draw)
    start, other = as_tensor(start_picture(goal, region)), second_encoder(plan, prepared)
    for_refiner = None
    if other is not None:
        job.stage(Phase.ENCODING_SD15)
        for_refiner = other.encode(start, draw=draw)
    job.stage(Phase.ENCODING_FILL)
    latent = codec.encode(start, draw=draw)
    # A refiner that runs alone has its latents from ``codec``.
    known = Known(latent, mask, latent if for_refiner is None else for_refiner)
    feature = None
    if plan.models.base_patches:
        feature = networks.inpaint_head().feature(mask, masked * prepared.base.latent_scale)
    canvas = Canvas(plan.size, None if goal.empty else latent, known)
    return Groundwork(canvas, feature, partial(pasted, given(sources), region))


def masked_picture(region: Region) -> Tensor:
    """The region's picture ``[1, 3, h, w]`` in 0..1, grey where it is repainted (image-inpaint.md §5)."""
    repainted = as_tensor(Image.fromarray(region.mask).convert("RGB"))
    return as_tensor(region.image) * (1 - repainted) + MASKED * repainted


def second_encoder(plan: GenerationPlan, prepared: Prepared) -> LatentCodec | None:
    """The refiner's autoencoder, where the refiner has latents of its own and works after the base."""
    refiner = prepared.refiner
    if refiner is None or refiner_method(plan.sampling, refiner.family) is not Method.VAE:
        return None
    return refiner.codec
