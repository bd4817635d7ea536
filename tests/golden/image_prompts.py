"""Image prompts of recordings: the tiny adapters of a workbench, their tokens, keys and values, and their pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from diffusers import UNet2DConditionModel
from PIL import Image

from fooocus_engine.conditioning.image_prompt import ImagePrompter, pixels
from fooocus_engine.endpoints.generate.encoders import IMAGE_PROMPT_FILE, image_prompter
from fooocus_engine.models.image_attention import ImagePrompt
from tests.golden.compare import exact, picture_error, tensor_error
from tests.golden.records import Record
from tests.golden.workbench import BASE, Workbench

FILES = {"ip": IMAGE_PROMPT_FILE, "face": "ip-adapter-plus-face_sdxl_vit-h.bin"}
PICTURES = {"ip": "image", "face": "image2_224"}  # which picture of the record ``ip/tokens`` an adapter is shown

KINDS = {"ImagePrompt": "ip", "FaceSwap": "face"}


def all_can_be_made(settings: Mapping[str, Any]) -> bool:
    """Whether a request's control images are image prompts, and faces that are not to be cut out, or none at all."""
    kinds = {kind for _, _, _, kind in settings["cn"]}
    return kinds <= set(KINDS) and ("FaceSwap" not in kinds or settings["skip_cn"])


def requested_prompts(record: Record, workbench: Workbench, unet: UNet2DConditionModel) -> tuple[ImagePrompt, ...]:
    """Those of a request, faces last (image-control.md §4.4)."""
    tasks = sorted(enumerate(record.settings.get("cn", [])), key=lambda task: list(KINDS).index(task[1][3]))
    made = []
    for number, (_, stop, weight, kind) in tasks:
        with Image.open(record.group.folder / record.data["input_png"][f"cn{number}"]) as image:
            made.append(prompter(workbench, unet, KINDS[kind]).prompt(image.convert("RGB"), weight=weight, stop=stop))
    return tuple(made)


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
