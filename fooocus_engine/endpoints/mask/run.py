"""Answers ``generate-mask``, and finds the masks of enhance: boxes, outlines or what stands out (image-tools.md §2)."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from fooocus_engine.endpoints import vision
from fooocus_engine.endpoints.intake import take_in
from fooocus_engine.endpoints.mask.contract import MaskRequest
from fooocus_engine.endpoints.mask.settings import BY_WORDS, CLOTHES_MODEL, MaskSettings, files_of
from fooocus_engine.endpoints.problems import validated
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.imaging.masks import WHITE, without_small_holes
from fooocus_engine.jobs.job import Job
from fooocus_engine.vision.background import PREPARATIONS, Cloth, cloth_mask, soft_mask
from fooocus_engine.vision.detector import PixelBox


def run_mask(fields: Mapping[str, Any], resources: Resources, job: Job) -> dict[str, str]:
    """The mask of canonical ``fields`` as a PNG in base64: grey, or RGB where words were looked for.

    Raises:
        InvalidRequest: before any model is touched.
        ModelUnavailable, BadModelFile: a network cannot be had.
    """
    request = validated(MaskRequest, fields)
    image = take_in(request.image, ("body", "image"), resources.http)
    for file in files_of(request.settings):
        resources.catalogue.find(*file)  # missed before anything is waited for
    with resources.gpu_turn(job):
        mask = found_mask(image, request.settings, resources, job.check)
    if request.mask_model == BY_WORDS:
        mask = mask.convert("RGB")
    return {"mask": base64.b64encode(_png(mask)).decode("ascii")}


def found_mask(
    image: Image.Image, settings: MaskSettings, resources: Resources, check: Callable[[], None]
) -> Image.Image:
    """The mask of ``image`` (RGB), L, of its size; black where nothing was found. The caller holds the turn.

    ``check`` may raise to give up, before each network and each outline.

    Raises:
        ModelUnavailable, BadModelFile: a network cannot be had.
    """
    check()
    if settings.model == BY_WORDS:
        return _named_mask(image, settings, resources, check)
    network, preparation = vision.background_network(settings.model, resources), PREPARATIONS[settings.model]
    if settings.model == CLOTHES_MODEL:
        return cloth_mask(image, network, preparation, Cloth[settings.cloth.upper()])
    return soft_mask(image, network, preparation)


def _named_mask(
    image: Image.Image, settings: MaskSettings, resources: Resources, check: Callable[[], None]
) -> Image.Image:
    found = vision.detector(resources).boxes(image, settings.words, settings.box_threshold)
    boxes = [box.grown(settings.grow) for box in found]
    if settings.boxes_only:
        return filled_boxes(boxes, image.size)
    mask = np.zeros((image.height, image.width), np.bool_)
    if boxes:
        check()
        # Outlines do not depend on one another, so those that would not be used need not be drawn.
        for outline in vision.segmenter(settings.segmenter, resources).masks(image, boxes[: settings.most or None]):
            check()
            mask |= without_small_holes(outline)
    return Image.fromarray(np.where(mask, np.uint8(WHITE), np.uint8(0)))


def filled_boxes(boxes: Iterable[PixelBox], size: tuple[int, int]) -> Image.Image:
    """White boxes on black, L; what was shrunk to nothing is not there."""
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    for box in boxes:
        if box.right >= box.left and box.bottom >= box.top:
            draw.rectangle(tuple(box), fill=WHITE)
    return mask


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
