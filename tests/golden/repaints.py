"""The inpaints among groups H: a record's pictures as sources, and what is compared before sampling begins."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageChops
from torch import Tensor
from torch.nn import functional as F

from fooocus_engine.endpoints.generate.inpaint_outpaint import RepaintRequest
from fooocus_engine.endpoints.generate.plan import GenerationPlan, Inpaint
from fooocus_engine.endpoints.generate.render import Groundwork
from fooocus_engine.endpoints.generate.repainting import region_of, repaint_sources, start_picture
from fooocus_engine.imaging.masks import softened
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.inpaint_patch import InpaintHead
from fooocus_engine.models.store import ModelStore
from fooocus_engine.models.upscaler import Upscaler
from fooocus_engine.types import Sources
from tests.golden.compare import BLOCK_LEVELS, exact, picture_error, tensor_error
from tests.golden.records import Record

FIELDS = {"inpaint_additional_prompt": "inpaint_additional_prompt", "outpaint": "outpaint_selections"}
ADVANCED = {
    "inpaint_disable_initial": "inpaint_disable_initial_latent",
    "inpaint_engine": "inpaint_engine",
    "inpaint_strength": "inpaint_strength",
    "inpaint_field": "inpaint_respective_field",
    "invert_mask": "invert_mask_checkbox",
    "erode": "inpaint_erode_or_dilate",
}
BLOCK = 16


@dataclass(frozen=True, eq=False)
class Networks:
    """Those that belong to a base model."""

    store: ModelStore
    base: str

    def upscaler(self) -> Upscaler:
        return self.store.upscaler(self.base)

    def inpaint_head(self) -> InpaintHead:
        return self.store.inpaint_head(self.base)


def repaints(record: Record, settings: dict[str, Any]) -> bool:
    """Whether a request has a picture and something to repaint in it."""
    return bool(settings["inpaint_image"]) and ("mask" in record.data["input_png"] or bool(settings["outpaint"]))


def sources_of(record: Record, request: RepaintRequest) -> Sources:
    """The record's picture and mask. What the reference takes as mask and as upload are one here."""
    pictures = {name: read(record, name) for name in ("image", "mask", "upload") if name in record.data["input_png"]}
    mask = pictures.get("mask")
    if mask is not None and "upload" in pictures:
        mask = ImageChops.lighter(mask, pictures["upload"])
    return repaint_sources(request, pictures["image"], mask)


def read(record: Record, name: str) -> Image.Image:
    with Image.open(record.group.folder / record.data["input_png"][name]) as image:
        return image.convert("RGB")


def region_errors(
    record: Record, plan: GenerationPlan, sources: Sources, ground: Groundwork, networks: Networks
) -> Iterator[float]:
    """Box, region and fill, masks, and the latents that are kept and started from."""
    goal, known = plan.goal, ground.canvas.known
    assert isinstance(goal, Inpaint) and known is not None and sources.mask is not None
    region = region_of(goal, sources, networks, Job("replay", lambda event: None))
    levels = record.group.tolerance["image_uint8_max"]
    yield exact([list(goal.box), list(goal.size)], [record.data["inpaint_area_abcd"], work_size(record)])
    yield picture_error(softened(np.asarray(sources.mask)), record.picture("soft_mask"), levels=levels)
    yield block_error(record, region.image, "inpaint_image_blockmean16")
    yield block_error(record, start_picture(goal, region), "inpaint_fill_blockmean16")
    yield tensor_error(known.mask, record.output("inpaint_latent_mask").float(), absolute=0)
    if (name := "inpaint_latent_fill_stride2") in record.outputs:
        yield tensor_error(known.latent[..., ::2, ::2], record.output(name), **latent_tolerance(record))
    yield exact(ground.canvas.start is None, "initial_latent_stride2" not in record.outputs)
    yield exact(plan.sampling.denoise, record.data["process_diffusion"][0]["denoise"])


def work_size(record: Record) -> list[int]:
    height, width, _ = record.data["inpaint_work_shape"]
    return [width, height]


def block_error(record: Record, picture: Image.Image, name: str) -> float:
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float()
    means: Tensor = F.avg_pool2d(pixels, BLOCK)[0].permute(1, 2, 0)
    return tensor_error(means, record.output(name), absolute=BLOCK_LEVELS)


def latent_tolerance(record: Record) -> dict[str, float]:
    tolerance = record.group.tolerance
    return {"absolute": tolerance["latent_abs"], "relative": tolerance["latent_rel"]}
