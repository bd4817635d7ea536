"""Image prompts of recordings: the tiny adapters of a workbench, their tokens, keys and values, and their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from diffusers import UNet2DConditionModel
from PIL import Image

from fooocus_engine.conditioning.image_prompt import ImagePrompter, pixels
from fooocus_engine.endpoints.generate.encoders import image_prompter
from fooocus_engine.imaging.rgb import as_rgb
from fooocus_engine.models.catalogue import FACE_ADAPTER, PROMPT_ADAPTER
from fooocus_engine.models.image_attention import ImagePrompt
from tests.golden.compare import exact, picture_error, tensor_error
from tests.golden.records import Record
from tests.golden.workbench import BASE, Workbench

FILES = {"ip": PROMPT_ADAPTER, "face": FACE_ADAPTER}
PICTURES = {"ip": "image", "face": "image2_224"}  # which picture of the record ``ip/tokens`` an adapter is shown


def requested(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ``image_prompts`` of a request; their pictures are taken from the record."""
    return [
        {"cn_img": "taken in", "cn_stop": stop, "cn_weight": weight, "cn_type": kind}
        for _, stop, weight, kind in settings["cn"]
    ]


def controls_of(record: Record) -> tuple[Image.Image, ...]:
    """The pictures of these."""
    names = [name for name in record.data.get("input_png", {}) if name.startswith("cn")]
    return tuple(control(record, name) for name in sorted(names))


def control(record: Record, name: str) -> Image.Image:
    with Image.open(record.group.folder / record.data["input_png"][name]) as image:
        return as_rgb(image)


def prompter(workbench: Workbench, unet: UNet2DConditionModel, kind: str = "ip") -> ImagePrompter:
    """The tiny adapter for image prompts or for faces (``face``)."""
    return image_prompter(FILES[kind], BASE, unet, workbench.resources)


def picture(record: Record, name: str) -> Image.Image:
    return Image.fromarray(record.picture(name)).convert("RGB")


def prompts_of(record: Record, workbench: Workbench) -> tuple[ImagePrompt, ...]:
    """The image prompts of a step record, whose tasks are [adapter, stop, weight]."""
    source, unet = record.group.record("ip/tokens"), workbench.prepared().base.unet
    return tuple(
        prompter(workbench, unet, kind).prompt(picture(source, PICTURES[kind]), weight=weight, stop=stop)
        for kind, stop, weight in record.settings["tasks"]
    )


def token_errors(record: Record, workbench: Workbench) -> Iterator[float]:
    """Errors of the record ``ip/tokens``: features, tokens, first and last keys and values, channels, the resizing."""
    allowed = {"absolute": record.group.tolerance["abs"], "relative": record.group.tolerance.get("rel", 0.0)}
    made = prompter(workbench, workbench.prepared().base.unet)
    features = made.tower.features(pixels(picture(record, "image"), made.tower.side))
    prompt = made.prompt(picture(record, "image"), weight=1.0, stop=1.0)
    (first_key, first_value), (last_key, last_value) = prompt.positive[0], prompt.positive[-1]
    results = {
        "penultimate": features,
        "image_tokens": made.adapter.tokens(features),
        "k0": first_key,
        "v0": first_value,
        "k_last": last_key,
        "v_last": last_value,
        "uk0": prompt.negative[0][0],
        "uv0": prompt.negative[0][1],
    }
    for name in record.outputs:
        yield tensor_error(results[name], record.output(name), **allowed)
    yield exact([width for width in made.adapter.widths for _ in "kv"], record.data["channels"])
    square = picture(record, "image2").resize((made.tower.side, made.tower.side), Image.Resampling.LANCZOS)
    yield picture_error(np.array(square), record.picture("image2_224"), levels=1)
