"""Replays the inpaint records of group G: mask work, boxes, fill, cut-out and paste-back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from fooocus_engine.imaging.box import Box, interested_box, surroundings
from fooocus_engine.imaging.inpaint_region import Region, cut_out, filled, pasted
from fooocus_engine.imaging.masks import MIDDLE, Mask, black_and_white, grown, softened
from fooocus_engine.imaging.outpaint import default_distance
from tests.golden.compare import BLOCK_LEVELS, exact, picture_error, tensor_error
from tests.golden.records import Group, Record
from tests.golden.workbench import BASE, Workbench

BLOCK = 16  # pixels that the recordings take the mean of


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of an inpaint record of group G."""
    mask = the_mask(record.group)
    match record.kind:
        case "mask_inputs":
            return 0.0  # what the others start from
        case "erode_dilate":
            return error(record, grown(mask, record.settings["k"]))
        case "soft_mask":
            return error(record, softened(mask))
        case "up255":
            white = black_and_white(Image.fromarray(mask), mask.shape[::-1])
            counted = np.where(mask > 0, np.uint8(255), np.uint8(0))
            return max(error(record, white, f"t{MIDDLE}"), error(record, counted, "t0"))
        case "fill":
            return error(record, np.asarray(filled(whole(the_image(record.group), mask))))
        case "bbox":
            return max(box_error(row) for row in record.data)
        case "outpaint_sizes":
            return sizes_error(record)
        case "worker":
            return max(worker_errors(record, mask, workbench))
        case _:
            return None


def the_image(group: Group) -> Image.Image:
    return Image.fromarray(group.record("inputs").picture("C"))


def the_mask(group: Group) -> Mask:
    return group.record("mask_inputs").picture("C_mask")


def marks(mask: Mask) -> Box:
    left, top, right, bottom = Image.fromarray(mask).getbbox()
    return Box(top, bottom, left, right)


def error(record: Record, made: np.ndarray, name: str = "out") -> float:
    return picture_error(made, record.picture(name), levels=record.group.tolerance["uint8_max"])


def whole(image: Image.Image, mask: Mask) -> Region:
    return Region(Box(0, image.height, 0, image.width), image, mask, mask)


def box_error(row: dict) -> float:
    marked, size = Box(*row["rect_y0y1x0x1"]), (row["w"], row["h"])
    found = surroundings(marked, size), interested_box(marked, size, row["k"])
    return exact([list(box) for box in found], [row["initial"], row["solved"]])


def sizes_error(record: Record) -> float:
    height, width = map(int, record.id.split("/")[1].split("x"))
    found = {"top_or_bottom_rows": default_distance(height), "left_or_right_columns": default_distance(width)}
    return exact(found, record.data)


def worker_errors(record: Record, mask: Mask, workbench: Workbench) -> Iterator[float]:
    """Box, cut-out, fill and soft edge, and the pasting of a recorded picture."""
    image, settings = the_image(record.group), record.settings
    box = interested_box(marks(mask), image.size, settings["k"])
    region = cut_out(image, mask, box, workbench.resources.store.upscaler(BASE).enlarge)
    yield exact([list(box), list(region.mask.shape)], [record.data["area_abcd"], record.data["work_shape"]])
    fill = filled(region) if settings["use_fill"] else region.image
    for name, picture in (("image", region.image), ("fill", fill), ("mask", Image.fromarray(region.mask))):
        yield block_error(record, np.array(picture), f"{name}_bm{BLOCK}")
    yield error(record, softened(mask), "soft_mask")
    fake = Image.fromarray(record.picture("fake64")).resize(region.image.size, Image.Resampling.BICUBIC)
    yield error(record, np.asarray(pasted(image, region, fake)), "post")


def block_error(record: Record, picture: np.ndarray, name: str) -> float:
    planes = torch.from_numpy(picture.reshape(*picture.shape[:2], -1)).permute(2, 0, 1)[None].float()
    means = F.avg_pool2d(planes, BLOCK)[0].permute(1, 2, 0)
    return tensor_error(means, record.output(name), absolute=BLOCK_LEVELS)
