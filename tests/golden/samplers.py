"""Replays group B: every sampler on an analytic denoiser and on the tiny UNet, and Brownian increments."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fooocus_engine.conditioning.encode import for_base
from fooocus_engine.errors import EngineError
from fooocus_engine.sampling.model_sampling import model_sampling
from fooocus_engine.sampling.noise import BrownianTree, ImageNoise
from fooocus_engine.sampling.sample import Recipe, sample
from fooocus_engine.sampling.settings import GuidanceSettings, SamplingSettings
from fooocus_engine.sampling.solvers import solver
from fooocus_engine.sampling.solvers.unipc import LAST_SIGMA
from fooocus_engine.sampling.unet_denoiser import Stage
from fooocus_engine.types import Canvas, Step
from tests.golden.compare import exact, tensor_error
from tests.golden.records import Record
from tests.golden.workbench import Workbench

CPU = torch.device("cpu")
SAME_SIGMA = 1e-5  # relative: the noise then fills the whole picture (sampling.md §3)


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of a record of group B."""
    match record.kind:
        case "analytic":
            results, errors = analytic(record)
        case "unet":
            try:
                results, errors = {"latent": on_unet(record, workbench)}, []
            except EngineError:  # what the reference ends without finite numbers is refused here
                return exact(bool(torch.isfinite(record.output("latent")).all()), False)
        case "brownian":
            results, errors = brownian(record), []
        case _:
            return None
    tolerance = record.group.tolerance
    errors += [
        tensor_error(results[name], record.output(name), absolute=tolerance["abs"], relative=tolerance["rel"])
        for name in record.outputs
    ]
    return max(errors)


def shared(record: Record, name: str) -> Tensor:
    """An input of the record, else of the last record of its kind and denoising strength before it that has one."""
    records = record.group.records
    before = records[: [other.id for other in records].index(record.id) + 1]
    strength = record.settings.get("denoise")
    alike = (other for other in reversed(before) if other.settings.get("denoise") == strength)
    return next(other for other in alike if other.kind == record.kind and name in other.inputs).input(name)


def analytic(record: Record) -> tuple[dict[str, Tensor], list[float]]:
    settings, sigmas = record.settings, record.input("sigmas")
    mu, start = shared(record, "mu"), shared(record, "latent")
    spread = settings["s"] ** 2
    calls = 0

    def denoise(x: Tensor, sigma: float) -> Tensor:
        nonlocal calls
        calls += 1
        return mu + (spread / (spread + sigma**2)) * (x - mu)

    tables = model_sampling(settings["scheduler"], "epsilon")
    shape = tuple(start.shape)
    tree = BrownianTree(settings["seed"], shape, CPU, (settings["tree_sigma_min"], settings["tree_sigma_max"]))
    noise = ImageNoise(settings["seed"], shape, CPU, tree)
    sigma, sigma_max = float(sigmas[0]), float(tables.sigmas[-1])
    whole = sigma > sigma_max or math.isclose(sigma, sigma_max, rel_tol=SAME_SIGMA)
    x = noise.start() * (math.sqrt(1 + sigma**2) if whole else sigma) + start
    steps: list[Step] = []
    x = solver(settings["sampler"], tables)(denoise, x, sigmas, noise=noise, on_step=steps.append)
    results = {"samples": x}
    if steps:
        results["trace_denoised"] = torch.stack([step.x0 for step in steps])
        results["trace_x"] = torch.stack([recorded_x(step, settings["sampler"], sigmas) for step in steps])
    return results, [exact(calls, settings["model_calls"]), exact(len(steps), settings["callbacks"])]


def recorded_x(step: Step, sampler: str, sigmas: Tensor) -> Tensor:
    """A step's ``x`` in the recordings' scale: the reference's UniPC keeps unit variance, ours the model's scale."""
    if not sampler.startswith("uni_pc"):
        return step.x
    sigma = LAST_SIGMA if step.index == step.total - 1 else float(sigmas[step.index])
    return step.x / math.sqrt(sigma**2 + 1)


def brownian(record: Record) -> dict[str, Tensor]:
    settings = record.settings
    shape = tuple(record.output("noise").shape[1:])
    tree = BrownianTree(settings["seed"], shape, CPU, (settings["sigma_min"], settings["sigma_max"]))
    if "sigmas" not in record.inputs:
        pairs = [tuple(map(float, pair.split(","))) for pair in settings["query"].strip("()").split("),(")]
        return {"noise": torch.stack([tree.between(a, b) for a, b in pairs])}
    sigmas = record.input("sigmas")
    count = record.output("noise").shape[0]
    pairs = [(float(sigmas[k]), float(sigmas[k + 1])) for k in range(count)]
    middles = [math.sqrt(a * b) for a, b in pairs]
    return {
        "noise": torch.stack([tree.between(a, b) for a, b in pairs]),
        "noise_mid": torch.stack([tree.between(a, m) for (a, _), m in zip(pairs, middles, strict=True)]),
    }


def on_unet(record: Record, workbench: Workbench) -> Tensor:
    settings = record.settings
    model = workbench.prepared().base
    height, width = (8 * side for side in record.output("latent").shape[-2:])
    positive_scale, negative_scale, end = settings["adm"]
    recipe = Recipe(
        base=Stage(
            model,
            for_base(
                (shared(record, "cond"), shared(record, "cond_pooled")),
                (width, height),
                adm_scale=positive_scale,
                adm_end=end,
            ),
            for_base(
                (shared(record, "uncond"), shared(record, "uncond_pooled")),
                (width, height),
                adm_scale=negative_scale,
                adm_end=end,
            ),
        ),
        refiner=None,
        canvas=Canvas((width, height)),
        sampling=SamplingSettings(
            steps=settings["steps"],
            switch=settings["steps"],
            sampler=settings["sampler"],
            scheduler=settings["scheduler"],
        ),
        guidance=GuidanceSettings(
            cfg=settings["cfg"], sharpness=settings["sharpness"], adaptive_cfg=settings["adaptive_cfg"]
        ),
    )
    with torch.inference_mode():
        return sample(recipe, seed=settings["seed"], on_step=lambda step: None).latent
