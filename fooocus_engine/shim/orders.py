"""A validated request as a job for the platform: what is sent, in how many parts, and what the history tells of it.

Pure. Knows the fields of the generation contract; not how anything is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.performance import MODES
from fooocus_engine.endpoints.generate.seeds import with_seed
from fooocus_engine.endpoints.table import Endpoint

MODEL_FIELDS = ("base_model_name", "refiner_model_name", "loras")
"""Fields that name model files: left to the worker where the client named none (api.md §6.3)."""
MODEL_ADVANCED = ("vae_name", "inpaint_engine")  # the latter stands for a patch file
LEAST_EXECUTION_S = 600
SLOWEST_STEP_S = 1.0  # of one picture, on the slowest card worth using: a bound, not an estimate
ABSENT: Mapping[str, Any] = {
    "input_image": None, "input_mask": None, "image_prompts": [], "inpaint_additional_prompt": "",
    "outpaint_selections": [], "outpaint_distance_left": 0, "outpaint_distance_right": 0, "outpaint_distance_top": 0,
    "outpaint_distance_bottom": 0, "uov_method": None, "upscale_value": None,
}  # fmt: skip
"""Fields of the history that not every endpoint has."""
TOLD = (
    "prompt", "negative_prompt", "style_selections", "performance_selection", "aspect_ratios_selection",
    "base_model_name", "refiner_model_name", "refiner_switch", "loras", "image_number", "image_seed", "sharpness",
    "guidance_scale", "advanced_params", *ABSENT, "webhook_url", "require_base64", "async_process",
)  # fmt: skip
"""The ``params`` of the long history, in order (api.md §4.5)."""


@dataclass(frozen=True)
class Order:
    """A job to be submitted. ``parts`` are the inputs of its platform jobs."""

    job_type: str
    parts: tuple[Mapping[str, Any], ...]
    told: Mapping[str, Any]
    policy: Mapping[str, Any]
    """What the platform is told of the time it may take."""
    waits: bool
    """Somebody waits for the end."""


def order(row: Endpoint, request: GenerateRequest, *, spread: int = 1, waits: bool) -> Order:
    """``request`` to ``row`` as a job of at most ``spread`` parts, all with one seed."""
    if min(spread, request.image_number) > 1:
        request = with_seed(request)
    fields = _whole(request)
    steps = request.advanced_params.overwrite_step
    steps = steps if steps > 0 else MODES[request.performance_selection].steps
    execution_s = max(LEAST_EXECUTION_S, round(steps * SLOWEST_STEP_S * request.image_number))
    sent = {"endpoint": row.name, **_without_defaults(fields, request.given)}
    return Order(
        job_type=str(row.job_type),
        parts=tuple(_spread(sent, request, spread)),
        told=_told(fields),
        policy={"executionTimeout": execution_s * 1000},
        waits=waits,
    )


def question(row: Endpoint, wanted: BaseModel) -> dict[str, Any]:
    """The input of a platform job that answers ``wanted``, to an endpoint that is no generation."""
    return {"endpoint": row.name, **_whole(wanted)}


def _whole(value: Any) -> Any:
    """A request as JSON values, with its pictures, which its own dump leaves out."""
    match value:
        case BaseModel():
            return {name: _whole(getattr(value, name)) for name in type(value).model_fields}
        case tuple() | list():
            return [_whole(item) for item in value]
        case _:
            return value


def _without_defaults(fields: Mapping[str, Any], given: frozenset[str]) -> dict[str, Any]:
    """``fields`` without model files that the client did not name, nor what only direct callers may ask."""
    left_out = {name for name in MODEL_FIELDS if name not in given} | {"deliver_webhook"}
    sent = {name: value for name, value in fields.items() if name not in left_out}
    advanced_out = {name for name in MODEL_ADVANCED if f"advanced_params.{name}" not in given}
    sent["advanced_params"] = {n: v for n, v in fields["advanced_params"].items() if n not in advanced_out}
    return sent


def _spread(sent: dict[str, Any], request: GenerateRequest, most: int) -> list[dict[str, Any]]:
    """``sent`` for each part: pictures of the same numbers as those of one job (api.md §6.9)."""
    parts = min(most, request.image_number)
    if parts == 1:
        return [sent]
    first, total = request.image_index_offset, request.image_total or request.image_number
    edges = [request.image_number * i // parts for i in range(parts + 1)]
    return [
        {**sent, "image_number": end - start, "image_index_offset": first + start, "image_total": total}
        for start, end in pairwise(edges)
    ]


def _told(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as the long history tells them: LoRAs and control images as lists, no pictures."""
    told = {name: fields.get(name, ABSENT.get(name)) for name in TOLD}
    told |= {"input_image": None, "input_mask": None}
    told["loras"] = [[lora["enabled"], lora["model_name"], lora["weight"]] for lora in fields["loras"]]
    told["image_prompts"] = [[p.get("cn_stop"), p.get("cn_weight"), p.get("cn_type")] for p in told["image_prompts"]]
    return told
