"""Replays group C: the sharpness filter, the guidance mix, size vectors and their switch, whole guided steps."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from fooocus_engine.conditioning.encode import for_base
from fooocus_engine.conditioning.size import consistent, emphasised
from fooocus_engine.models.sinusoids import Sinusoids
from fooocus_engine.sampling.guidance import guided
from fooocus_engine.sampling.model_sampling import discrete_sampling
from fooocus_engine.sampling.settings import GuidanceSettings
from fooocus_engine.sampling.sharpness import joint_bilateral
from fooocus_engine.sampling.unet_denoiser import Estimates, Stage, UNetDenoiser, is_early
from tests.golden.compare import tensor_error
from tests.golden.records import Record
from tests.golden.workbench import Workbench


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of a record of group C."""
    match record.kind:
        case "filter":
            results = {"y": joint_bilateral(record.input("x"), record.input("guide"))}
        case "guidance":
            results = mixed(record)
        case "adm":
            results = size_vectors(record)
        case "timed_adm":
            results = {"y": timed(record)}
        case "timestep_embedding":
            results = embeddings(record)
        case "unet_step":
            results = guided_step(record, workbench)
        case _:
            return None
    tolerance = record.group.tolerance
    return max(
        tensor_error(results[name], record.output(name), absolute=tolerance["abs"], relative=tolerance["rel"])
        for name in record.outputs
    )


def guidance_settings(settings: dict[str, Any]) -> GuidanceSettings:
    return GuidanceSettings(
        cfg=settings["cfg_scale"], sharpness=settings["sharpness"], adaptive_cfg=settings["adaptive_cfg"]
    )


def mixed(record: Record) -> dict[str, Tensor]:
    x, sigma = record.input("x"), record.input("sigma").view(-1, 1, 1, 1)
    estimates = Estimates(record.input("positive_x0"), record.input("negative_x0"), record.settings["progress"])
    x0 = guided(x, estimates, guidance_settings(record.settings))
    return {"x0": x0, "eps_record": (x - x0) / sigma}


def embedding(numbers: Tensor, width: int) -> Tensor:
    """The sinusoidal embedding that the UNet applies: cosines first (sampling.md §6)."""
    return Sinusoids(width)(numbers)


def embeddings(record: Record) -> dict[str, Tensor]:
    """``d32``: of the record's timesteps; ``d256``: of the size numbers that its note lists."""
    sizes = re.search(r"fed with ([\d,]+)", record.content.get("note") or "")
    assert sizes is not None, "the note lists no size numbers"
    numbers = torch.tensor([float(number) for number in sizes[1].split(",")])
    return {"d32": embedding(record.input("t"), 32), "d256": embedding(numbers, 256)}


def vector(pooled: Tensor, size: Tensor) -> Tensor:
    """What the UNet makes of pooled text and six numbers: ``[1, P + 1536]``."""
    return torch.cat([pooled, embedding(size.flatten(), 256).reshape(1, -1)], dim=1)


def size_vectors(record: Record) -> dict[str, Tensor]:
    settings, pooled = record.settings, record.input("pooled")
    size = settings["width"], settings["height"]

    def both(scale: float) -> Tensor:
        return torch.cat([vector(pooled, emphasised(size, scale)), vector(pooled, consistent(size))], dim=1)

    return {"positive": both(settings["positive_adm_scale"]), "negative": both(settings["negative_adm_scale"])}


def timed(record: Record) -> Tensor:
    """The half of each row that holds at its timestep: the emphasised one first."""
    half, end = record.settings["half_width"], record.settings["adm_scaler_end"]
    rows = zip(record.input("y"), record.input("timesteps").tolist(), strict=True)
    return torch.stack([row[:half] if is_early(timestep, end) else row[half:] for row, timestep in rows])


def guided_step(record: Record, workbench: Workbench) -> dict[str, Tensor]:
    settings = record.settings
    size = settings["width"], settings["height"]
    positive, negative = (
        for_base(
            (record.input(text), record.input(f"{text}_pooled")),
            size,
            adm_scale=settings[f"{side}_adm_scale"],
            adm_end=settings["adm_scaler_end"],
        )
        for text, side in (("cond", "positive"), ("uncond", "negative"))
    )
    denoiser = UNetDenoiser(
        Stage(workbench.prepared().base, positive, negative), discrete_sampling(), with_negative=True
    )
    x = record.input("x")
    with torch.inference_mode():
        estimates = denoiser(x, settings["sigma"])
        x0 = guided(x, estimates, guidance_settings(settings))
    assert estimates.negative is not None
    return {"positive_x0": estimates.positive, "negative_x0": estimates.negative, "x0": x0}
