"""The room's door: two Conditionings per model, a canvas and the settings → a latent.

Composes the denoiser, picks the sigmas, draws the noise and runs the solver, once or twice. Knows no prompts, files or
pixels; whoever calls converts the refiner's Conditioning and decodes the result.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from fooocus_engine.errors import EngineError
from fooocus_engine.sampling.guidance import Guidance, needs_negative
from fooocus_engine.sampling.masking import KeepKnownPixels
from fooocus_engine.sampling.model_sampling import (
    LatentFormat,
    ModelSampling,
    discrete_sampling,
    latent_format,
    model_sampling,
)
from fooocus_engine.sampling.noise import BrownianTree, ImageNoise, known_noise
from fooocus_engine.sampling.refiner import (
    SECOND_PASS_NOISE,
    Method,
    NoiseMemory,
    RefinerSwitch,
    has_own_latents,
    recentred,
    refiner_method,
)
from fooocus_engine.sampling.schedules import named_sigmas, sampler_sigmas, truncated
from fooocus_engine.sampling.settings import GuidanceSettings, SamplingSettings
from fooocus_engine.sampling.solvers import IGNORE_KNOWN_PIXELS, solver
from fooocus_engine.sampling.solvers.protocol import Denoiser
from fooocus_engine.sampling.unet_denoiser import Stage, UNetDenoiser
from fooocus_engine.types import PIXELS_PER_LATENT, Canvas, OnStep, Step

LATENT_CHANNELS = 4
SAME_SIGMA = 1e-5  # relative


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that decides a latent but its seed."""

    base: Stage
    refiner: Stage | None
    canvas: Canvas
    sampling: SamplingSettings
    guidance: GuidanceSettings


@dataclass(frozen=True, eq=False)
class Sampled:
    """A finished latent."""

    latent: Tensor
    """Unscaled, float32 ``[1, 4, h, w]``, on the model's device."""
    by: Literal["base", "refiner"]
    """Whose latent space it is in: whose autoencoder decodes it."""
    first: Tensor | None = None
    """The base's unscaled latent, where two passes were made."""


def sample(recipe: Recipe, *, seed: int, on_step: OnStep) -> Sampled:
    """The latent of one image. ``on_step`` hears of every step, counted through both passes, and may raise to abort.

    Raises:
        EngineError: the result is not finite, or sampler and scheduler do not fit together.
    """
    settings = recipe.sampling
    refiner = recipe.refiner or recipe.base  # without a refiner a second pass is the base's own
    family = recipe.refiner.model.family if recipe.refiner else None
    method = refiner_method(settings, family)
    run = _Run(recipe, seed, on_step)
    match method:
        case Method.BASE:
            latent = run.single(recipe.base)
        case Method.REFINER:
            latent = run.single(refiner)
        case Method.JOINT:
            latent = run.joint(recipe.base, refiner)
        case Method.SEPARATE:
            latent = run.separate(recipe.base, refiner)
        case Method.VAE:
            latent = run.twice(recipe.base, refiner)
    if not torch.isfinite(latent).all():
        raise EngineError(
            f"sampler {settings.sampler} with scheduler {settings.scheduler} gave no finite picture",
            "choose another combination",
        )
    in_refiner_space = has_own_latents(family) and method in (Method.REFINER, Method.VAE)
    return Sampled(latent, "refiner" if in_refiner_space else "base", run.first)


class _Run:
    """One image's noise, sigmas and callback, and the ways to spend them (sampling.md §10)."""

    def __init__(self, recipe: Recipe, seed: int, on_step: OnStep) -> None:
        self._recipe, self._settings, self._seed, self._on_step = recipe, recipe.sampling, seed, on_step
        model, (width, height) = recipe.base.model, recipe.canvas.size
        self._device = model.device
        shape = (1, LATENT_CHANNELS, height // PIXELS_PER_LATENT, width // PIXELS_PER_LATENT)
        start = recipe.canvas.start
        self._start = torch.zeros(shape) if start is None else start
        self._start = self._start.to(self._device, torch.float32)
        self._shape = tuple(self._start.shape)
        self._tree = BrownianTree(seed, self._shape, self._device, self._brownian_range())
        self._run_seed = seed
        """Of the run of the solver that comes next."""
        self._noise = ImageNoise(seed, self._shape, self._device, self._tree)
        self.first: Tensor | None = None
        """The first of two passes' latent, once it is there."""

    def single(self, stage: Stage) -> Tensor:
        """One model from noise to picture."""
        sigmas = self._cut(stage, start=0, last=self._settings.steps)
        return self._noisy_pass(stage, sigmas, denoise=self._guided(stage), on_step=self._report(stage))

    def joint(self, base: Stage, refiner: Stage) -> Tensor:
        """One run in which the refiner takes over."""
        switch = RefinerSwitch(self._unet(base), self._unet(refiner), self._settings.switch)
        report = self._report(base)

        def on_step(step: Step) -> None:
            switch.on_step(step)
            report(step)

        sigmas = self._cut(base, start=0, last=self._settings.steps)
        return self._noisy_pass(base, sigmas, denoise=Guidance(switch, self._recipe.guidance), on_step=on_step)

    def separate(self, base: Stage, refiner: Stage) -> Tensor:
        """The base leaves noise in at the switch; the refiner takes the rest out, with nothing remembered but noise."""
        switch = self._settings.switch
        sigmas = self._cut(base, start=0, last=switch, full_denoise=False)
        latent = self._noisy_pass(base, sigmas, denoise=self._guided(base), on_step=self._report(base))
        self.first = latent
        rest = self._cut(refiner, start=switch, last=self._settings.steps)
        if len(rest) < 2:
            return latent
        x = self._format(refiner).into_model(latent)
        on_step = self._report(refiner, switch)
        return self._solve(refiner, x, sigmas=rest, denoise=self._guided(refiner), on_step=on_step)

    def twice(self, base: Stage, refiner: Stage) -> Tensor:
        """The base finishes early; the refiner starts again from its latent, with noise like the last seen (§10.4).

        The start is written out there as noise · sigma, also where 1.4 times a sigma lies above the table, so the
        general rule of §3 for such sigmas does not hold here.
        """
        settings = self._settings
        memory = NoiseMemory(self._guided(base))
        sigmas = self._cut(base, start=0, last=settings.switch)
        latent = self._noisy_pass(base, sigmas, denoise=memory, on_step=self._report(base))
        self.first = latent
        if has_own_latents(refiner.model.family):
            if refiner.interposer is None:
                raise ValueError(f"a refiner of family {refiner.model.family} needs an interposer")
            latent = refiner.interposer(latent)
        sigmas = self._named_sigmas(refiner)[settings.switch :] * SECOND_PASS_NOISE
        if len(sigmas) < 2:
            return latent
        self._run_seed = self._seed + 1
        self._noise = ImageNoise(self._run_seed, self._shape, self._device, self._tree)
        noise = recentred(self._noise.start(), memory.last)
        x = noise * float(sigmas[0]) + self._format(refiner).into_model(latent)
        on_step = self._report(refiner, settings.switch)
        return self._solve(refiner, x, sigmas=sigmas, denoise=self._guided(refiner), on_step=on_step)

    def _noisy_pass(self, stage: Stage, sigmas: Tensor, *, denoise: Denoiser, on_step: OnStep) -> Tensor:
        """From the canvas with fresh noise (sampling.md §3); the canvas itself when there is nothing to run."""
        if len(sigmas) < 2:
            return self._start
        sigma, sigma_max = float(sigmas[0]), float(self._tables(stage).sigmas[-1])
        whole = sigma > sigma_max or math.isclose(sigma, sigma_max, rel_tol=SAME_SIGMA)
        scale = math.sqrt(1 + sigma**2) if whole else sigma
        x = self._noise.start() * scale + self._format(stage).into_model(self._start)
        return self._solve(stage, x, sigmas=sigmas, denoise=denoise, on_step=on_step)

    def _solve(self, stage: Stage, x: Tensor, *, sigmas: Tensor, denoise: Denoiser, on_step: OnStep) -> Tensor:
        settings = self._settings
        solve = solver(settings.sampler, self._tables(stage))
        try:
            x = solve(self._keeping(stage, denoise), x, sigmas, noise=self._noise, on_step=on_step)
        except ZeroDivisionError as error:  # a long schedule on a short table repeats noise levels
            raise EngineError(
                f"sampler {settings.sampler} cannot run scheduler {settings.scheduler} with {settings.steps} steps at "
                f"strength {settings.denoise}: noise levels repeat"
            ) from error
        return self._format(stage).out_of_model(x)

    def _keeping(self, stage: Stage, denoise: Denoiser) -> Denoiser:
        """``denoise``; of a picture painted in part, the same around what is kept. Each run has its own noise."""
        known = self._recipe.canvas.known
        if known is None or self._settings.sampler in IGNORE_KNOWN_PIXELS:
            return denoise
        latent = known.for_refiner if has_own_latents(stage.model.family) else known.latent
        if latent is None:
            raise ValueError(f"a model of family {stage.model.family} needs the known picture in its own latent space")
        latent, mask = (tensor.to(self._device, torch.float32) for tensor in (latent, known.mask))
        draw = known_noise(self._run_seed, self._shape, self._device)
        return KeepKnownPixels(denoise, self._format(stage).into_model(latent), mask, draw)

    def _unet(self, stage: Stage) -> UNetDenoiser:
        return UNetDenoiser(stage, self._tables(stage), with_negative=needs_negative(self._recipe.guidance.cfg))

    def _guided(self, stage: Stage) -> Denoiser:
        return Guidance(self._unet(stage), self._recipe.guidance)

    def _tables(self, stage: Stage) -> ModelSampling:
        return model_sampling(self._settings.scheduler, stage.model.prediction)

    def _format(self, stage: Stage) -> LatentFormat:
        return latent_format(self._settings.scheduler, stage.model.latent_scale)

    def _cut(self, stage: Stage, *, start: int, last: int, full_denoise: bool = True) -> Tensor:
        sigmas = sampler_sigmas(self._settings, self._tables(stage))
        return truncated(sigmas, start=start, last=last, full_denoise=full_denoise)

    def _named_sigmas(self, stage: Stage) -> Tensor:
        # On the plain table also where the scheduler replaces it: the reference asks before it does so (§5.2).
        return named_sigmas(self._settings, discrete_sampling(), stage.model.family)

    def _brownian_range(self) -> tuple[float, float]:
        sigmas = self._named_sigmas(self._recipe.base)
        return float(sigmas[sigmas > 0].min()), float(sigmas.max())

    def _report(self, stage: Stage, first: int = 0) -> OnStep:
        """The caller's callback, with steps counted from ``first``, the total asked for and whose latents they are."""
        total, family = self._settings.steps, stage.model.family
        by: Literal["base", "refiner"] = "refiner" if has_own_latents(family) else "base"
        return lambda step: self._on_step(replace(step, index=first + step.index, total=total, by=by))
