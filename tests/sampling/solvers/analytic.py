"""Runs a solver on denoisers whose answer is known, and replays the recordings made with one of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from fooocus_engine.sampling.model_sampling import discrete_sampling, model_sampling
from fooocus_engine.sampling.noise import BrownianTree, ImageNoise
from fooocus_engine.sampling.solvers import solver
from fooocus_engine.sampling.solvers.protocol import Denoiser
from fooocus_engine.types import Step
from tests.golden.compare import tensor_error
from tests.golden.records import Record
from tests.models.tiny import group

CPU = torch.device("cpu")
SHAPE = (1, 4, 8, 8)


@dataclass(frozen=True)
class Gaussian:
    """The exact denoiser of normally distributed latents with this mean and deviation."""

    mean: Tensor
    deviation: float

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        variance = self.deviation**2
        return self.mean + (variance / (variance + sigma**2)) * (x - self.mean)


def noise(seed: int = 0, shape: tuple[int, ...] = SHAPE, low: float = 0.0291, high: float = 14.6147) -> ImageNoise:
    return ImageNoise(seed, shape, CPU, BrownianTree(seed, shape, CPU, (low, high)))


def run(name: str, denoise: Denoiser, x: Tensor, sigmas: Tensor) -> tuple[Tensor, list[Step]]:
    """The sampler's result on the plain table, and what it reported."""
    steps: list[Step] = []
    found = solver(name, discrete_sampling())
    return found(denoise, x, sigmas, noise=noise(shape=tuple(x.shape)), on_step=steps.append), steps


def recordings(name: str) -> list[Record]:
    return [r for r in group("B_samplers").records if r.kind == "analytic" and r.settings["sampler"] == name]


def recorded_input(record: Record, name: str) -> Tensor:
    """Inputs that the recordings share are stored with the first of them."""
    return group("B_samplers").record(f"analytic/euler/karras/8/{record.settings['denoise']}").input(name)


def replay_error(record: Record) -> float:
    """Largest error of result and trace over the tolerance; infinite if calls or reports differ in number."""
    settings = record.settings
    low, high = settings["tree_sigma_min"], settings["tree_sigma_max"]
    own_noise = noise(settings["seed"], SHAPE, low, high)
    sigmas = record.input("sigmas")
    start, largest = float(sigmas[0]), 14.614641
    scale = math.sqrt(1 + start**2) if start > largest * (1 - 1e-5) else start
    exact = Gaussian(recorded_input(record, "mu"), settings["s"])
    calls: list[float] = []
    steps: list[Step] = []

    def denoise(x: Tensor, sigma: float) -> Tensor:
        calls.append(sigma)
        return exact(x, sigma)

    found = solver(settings["sampler"], model_sampling(settings["scheduler"], "epsilon"))
    x = own_noise.start() * scale + recorded_input(record, "latent")
    result = found(denoise, x, sigmas, noise=own_noise, on_step=steps.append)
    if (len(calls), len(steps)) != (settings["model_calls"], settings["callbacks"]):
        return math.inf
    errors = [tensor_error(result, record.output("samples"), absolute=2e-4, relative=2e-4)]
    if "trace_denoised" in record.outputs:
        trace = torch.stack([step.x0 for step in steps])
        errors.append(tensor_error(trace, record.output("trace_denoised"), absolute=2e-4, relative=2e-4))
    return max(errors)
