"""Replays group A: sigma lists, tables and functions of every parametrisation, latent formats."""

from __future__ import annotations

import torch
from torch import Tensor

from fooocus_engine.sampling.model_sampling import (
    EDM_SCHEDULER,
    ModelSampling,
    discrete_sampling,
    edm_sampling,
    few_step_sampling,
    latent_format,
    model_sampling,
)
from fooocus_engine.sampling.schedules import named_sigmas, sampler_sigmas
from fooocus_engine.sampling.settings import SamplingSettings
from tests.golden.compare import tensor_error
from tests.golden.records import Record
from tests.golden.workbench import Workbench

SDXL_SCALE = 0.13025


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of a record of group A."""
    match record.kind:
        case "table":
            results = table(tables(record.id.split("/")[1]))
        case "functions":
            results = functions(record, tables(record.id.split("/")[1]))
        case "latent_format":
            results = formats(record.input("z"))
        case _:
            results = {name: sigmas(record, name) for name in record.outputs}
    tolerance = record.group.tolerance
    errors = [
        tensor_error(results[name], record.output(name), absolute=tolerance["abs"], relative=tolerance["rel"])
        for name in record.outputs
    ]
    if record.kind == "functions":
        errors += percents(record, tables(record.id.split("/")[1]))
    return max(errors)


def tables(name: str) -> ModelSampling:
    match name:
        case "lcm":
            return few_step_sampling("lcm")
        case "tcd":
            return few_step_sampling("epsilon")
        case "edm":
            return edm_sampling()
        case _:
            return discrete_sampling()


def sigmas(record: Record, name: str) -> Tensor:
    """``euler``, ``dpm_2``, ``uni_pc``: what that sampler runs on; ``tree…``: what gives the Brownian range."""
    wanted = record.settings
    sampler = name.removeprefix("tree").strip("_")
    settings = SamplingSettings(
        steps=wanted["steps"],
        switch=wanted["steps"],
        sampler="euler" if sampler in ("", "patched") else sampler,
        scheduler=wanted["scheduler"],
        denoise=wanted["denoise"],
    )
    replaced = model_sampling(wanted["scheduler"], "epsilon")
    if name.startswith("tree"):
        return named_sigmas(settings, replaced if name == "tree_patched" else discrete_sampling())
    return sampler_sigmas(settings, replaced)


def table(sampling: ModelSampling) -> dict[str, Tensor]:
    alphas = {} if sampling.alphas_cumprod is None else {"alphas_cumprod": sampling.alphas_cumprod}
    return {
        "sigmas": sampling.sigmas,
        "log_sigmas": sampling.sigmas.log(),
        "sigma_min": sampling.sigmas[0],
        "sigma_max": sampling.sigmas[-1],
        **alphas,
    }


def functions(record: Record, sampling: ModelSampling) -> dict[str, Tensor]:
    x, output, levels = record.input("x"), record.input("model_output"), record.input("sigma3").tolist()
    rows = list(zip(x.split(1), output.split(1), levels, strict=True))
    return {
        "timestep": torch.tensor([sampling.timestep(sigma) for sigma in record.input("sigma").tolist()]),
        "sigma_of_t": sampling.sigma(record.input("t")),
        "calculate_input": torch.cat([sampling.scale_input(one, sigma) for one, _, sigma in rows]),
        "calculate_denoised": torch.cat([sampling.denoised(one, out, sigma) for one, out, sigma in rows]),
    }


def percents(record: Record, sampling: ModelSampling) -> list[float]:
    tolerance = record.group.tolerance
    return [
        tensor_error(
            torch.tensor(sampling.percent_to_sigma(float(percent)), dtype=torch.float64),
            torch.tensor(sigma, dtype=torch.float64),
            absolute=tolerance["abs"],
            relative=tolerance["rel"],
        )
        for percent, sigma in record.data["percent_to_sigma"].items()
    ]


def formats(latent: Tensor) -> dict[str, Tensor]:
    sdxl, playground = latent_format("karras", SDXL_SCALE), latent_format(EDM_SCHEDULER, SDXL_SCALE)
    return {
        "sdxl_in": sdxl.into_model(latent),
        "sdxl_out": sdxl.out_of_model(latent),
        "playground_in": playground.into_model(latent),
        "playground_out": playground.out_of_model(latent),
    }
