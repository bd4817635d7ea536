"""Replays group F: encoding and decoding, whole, in tiles and under a mask, the upscaler, and latent previews."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from fooocus_engine.endpoints.generate.repainting import masked_picture
from fooocus_engine.imaging.box import Box
from fooocus_engine.imaging.inpaint_region import Region, latent_mask
from fooocus_engine.models.codec import LatentCodec, to_uint8
from tests.golden.compare import BLOCK_LEVELS, picture_error, tensor_error
from tests.golden.records import Record
from tests.golden.workbench import BASE, Workbench, seeded


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of a record of group F."""
    match record.kind:
        case "plain":
            return max(plain(record, codec(workbench)))
        case "tiled":
            return max(tiled(record, codec(workbench)))
        case "upscale":
            return max(upscale(record, workbench))
        case "preview":
            return preview(record, workbench)
        case "inpaint_encode":
            return max(inpaint_encode(record, codec(workbench)))
        case _:
            return None


def codec(workbench: Workbench) -> LatentCodec:
    found = workbench.prepared().base.codec
    assert found is not None
    return found


def as_tensor(picture: np.ndarray[Any, Any]) -> Tensor:
    """``[1, 3, H, W]`` in 0..1."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255


def draw(shape: torch.Size) -> Tensor:
    return torch.randn(shape, generator=seeded(0))


def latent_error(record: Record, latent: Tensor, name: str) -> float:
    return tensor_error(latent, record.output(name), absolute=record.group.tolerance["latent_abs"])


def image_error(record: Record, image: Tensor, name: str) -> float:
    return tensor_error(image, record.output(name), absolute=record.group.tolerance["vae_abs"])


def plain(record: Record, vae: LatentCodec) -> list[float]:
    latent = vae.encode(as_tensor(record.picture("image")), draw=draw)
    errors = [latent_error(record, latent, "latent")]
    if "decoded_bhwc" in record.outputs:
        image = vae.decode(record.output("latent"))
        errors.append(image_error(record, image.permute(0, 2, 3, 1), "decoded_bhwc"))
        if "roundtrip" in record.png:
            levels = record.group.tolerance["uint8_max"]
            errors.append(picture_error(to_uint8(image)[0], record.picture("roundtrip"), levels=levels))
    return errors


def tiled(record: Record, vae: LatentCodec) -> list[float]:
    if "image" in record.png:
        image = as_tensor(record.picture("image"))
        return [
            latent_error(record, vae.encode_tiled(image, draw=draw), "latent_tiled"),
            latent_error(record, vae.encode(image, draw=draw), "latent_plain"),
        ]
    latent = record.input("latent")
    errors = []
    for name, image in (("tiled", vae.decode_tiled(latent)), ("plain", vae.decode(latent))):
        means = F.avg_pool2d(image, 8).permute(0, 2, 3, 1)
        errors.append(image_error(record, means, f"decoded_{name}_blockmean8"))
        errors.append(image_error(record, crop_like(record, image, name), f"decoded_{name}_crop"))
    return errors


def crop_like(record: Record, image: Tensor, name: str) -> Tensor:
    """The place of the recorded crop: where it fits best among the corners and the middle of the picture."""
    expected = record.output(f"decoded_{name}_crop")
    height, width = image.shape[-2:]
    side = expected.shape[1]
    places = [(0, 0), ((height - side) // 2, (width - side) // 2), (height - side, width - side)]
    crops = [image[..., top : top + side, left : left + side].permute(0, 2, 3, 1) for top, left in places]
    return min(crops, key=lambda crop: float((crop - expected).abs().max()))


def upscale(record: Record, workbench: Workbench) -> list[float]:
    levels = record.group.tolerance["uint8_max"]
    source = Image.fromarray(record.picture("image"))
    picture = np.array(workbench.resources.store.upscaler(BASE).enlarge(source))
    if "up" in record.png:
        return [picture_error(picture, record.picture("up"), levels=levels)]
    means = F.avg_pool2d(torch.from_numpy(picture).permute(2, 0, 1)[None].float(), 16).permute(0, 2, 3, 1)
    return [
        tensor_error(means, record.output("blockmean16"), absolute=BLOCK_LEVELS),
        picture_error(seam_crop(record, picture), record.picture("seam_crop"), levels=levels),
    ]


def seam_crop(record: Record, picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """As recorded around the middle of a seam between tiles."""
    x, y = record.settings["seam_crop_center_xy"]
    height, width = record.picture("seam_crop").shape[:2]
    top, left = y - height // 2, x - width // 2
    return picture[top : top + height, left : left + width]


def inpaint_encode(record: Record, vae: LatentCodec) -> list[float]:
    image, mask = Image.fromarray(record.picture("image")), record.picture("mask")
    masked = masked_picture(Region(Box(0, image.height, 0, image.width), image, mask, mask))
    cells = torch.from_numpy(latent_mask(mask))[None, None]
    return [
        latent_error(record, vae.encode_uncropped(masked, draw=draw), "latent"),
        tensor_error(cells, record.output("latent_mask"), absolute=0),
    ]


def preview(record: Record, workbench: Workbench) -> float:
    decoder = workbench.resources.store.preview("sdxl")
    assert decoder is not None
    picture = np.array(decoder.render(record.input("x0")))
    return picture_error(picture, record.picture("preview"), levels=record.group.tolerance["uint8_max"])
