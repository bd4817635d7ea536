"""Pictures of captions through the product's engine, as a client would ask for them. Knows no scores.

What requests cannot ask for yet, a control image or an image prompt, is put in between the engine's own steps.
"""

from __future__ import annotations

import argparse
import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from builder.starter.model import NATIVE
from builder.starter.pictures import Size
from builder.starter.train_control import FILE as CONTROL_FILE
from fooocus_engine.conditioning.control import controlled, image_control
from fooocus_engine.endpoints.generate.contract import GenerateRequest, validate_generation
from fooocus_engine.endpoints.generate.encoders import (
    IMAGE_PROMPT_FILE,
    image_prompter,
    prompt_expander,
    text_conditioner,
)
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.render import Steered, decoded, encode_all, expand_all, recipe
from fooocus_engine.engine import Engine
from fooocus_engine.errors import ModelUnavailable
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import CHECKPOINTS, CONTROLNET
from fooocus_engine.models.control_lora import ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.image_attention import ImagePrompt
from fooocus_engine.models.store import version_of
from fooocus_engine.models.upscaler import Upscaler
from fooocus_engine.sampling.sample import sample
from fooocus_engine.settings import Settings

PRESET = "starter"
STOP, SOFTNESS = 0.5, 0.25  # of a control in a request that names none (image-control.md)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model paints."""
    parser.add_argument("--models", type=Path, default=Path("no-models"), help="a models folder")
    parser.add_argument("--model", help="name of a checkpoint in it; default: the shipped one")


@dataclass(frozen=True, eq=False)
class Wanted:
    """A picture to paint."""

    caption: str
    seed: int
    size: Size = NATIVE
    """(width, height) in pixels."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """More of the request's."""
    edges: NDArray[np.uint8] | None = None
    """``[h, w]``: the edge map to keep to."""
    prompt: tuple[Image.Image, float] | None = None
    """An RGB picture to look at until the end, and its weight."""


class Painter:
    """An engine with the preset of the shipped model."""

    def __init__(self, models: Path, model: str | None = None) -> None:
        """``models`` is a models folder; ``model`` a checkpoint in it, ``None`` for the shipped one.

        Raises:
            ModelUnavailable: there is no such checkpoint, or the folder's own one hides the shipped one.
        """
        self._engine = Engine(Settings(models_dir=models, device="cpu"))
        self._model = model or preset_named(PRESET).base_model_name
        catalogue = self._engine.resources.catalogue
        own = models / CHECKPOINTS / self._model
        if model is not None and not own.is_file():
            raise ModelUnavailable(f"{own} is no file; a model to measure lies in the checkpoints of its models folder")
        if model is None and not catalogue.is_embedded(self._model):
            raise ModelUnavailable(f"{self._model} is not shipped, or hidden by {own}", hint="name a model")
        self._shipped = model is None

    def has(self, kind: str, file: str) -> bool:
        """Whether this companion of the model is installed."""
        return self._engine.resources.catalogue.has(kind, file, embedded=self._shipped)

    def upscaler(self) -> Upscaler:
        """The upscaler of the model's pictures."""
        return self._engine.resources.store.upscaler(self._model)

    def picture(self, wanted: Wanted) -> Image.Image:
        """The picture, RGB; in ``Speed`` unless its fields say otherwise."""
        if wanted.edges is None and wanted.prompt is None:
            return self._asked(wanted)
        return self._steered(wanted)

    def _asked(self, wanted: Wanted) -> Image.Image:
        request = {"endpoint": "text-to-image", **self._request(wanted)}
        reply = self._engine.run(request, _silent_job())
        data = reply["job_result"][0]["base64"].partition(",")[2]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def _steered(self, wanted: Wanted) -> Image.Image:
        resources, job = self._engine.resources, _silent_job()
        plan = self._plan(wanted)
        with resources.gpu_turn(job), resources.store.prepared(plan.models) as prepared, torch.inference_mode():
            expansions = expand_all(plan, prompt_expander(plan, resources), job)
            (words,) = encode_all(plan, expansions, text_conditioner(plan, prepared.base, resources), job)
            told = recipe(plan, self._controlled(words, wanted, prepared.base), prepared)
            told = replace(told, base=replace(told.base, image_prompts=self._prompts(wanted, prepared.base)))
            return decoded(sample(told, seed=words.task.seed, on_step=lambda step: None), prepared)

    def _plan(self, wanted: Wanted) -> GenerationPlan:
        resources = self._engine.resources
        words, settings = resources.words, resources.settings
        checked = validate_generation(
            self._request(wanted),
            GenerateRequest,
            default_preset=preset_named(PRESET),
            styles=words.styles.legal_names(),
            limits=settings,
        )
        return plan_generation(checked, resources.catalogue, words, max_loras=settings.max_loras)

    def _request(self, wanted: Wanted) -> dict[str, Any]:
        return {
            "preset": PRESET,
            "base_model_name": self._model,
            "prompt": wanted.caption,
            "image_seed": wanted.seed,
            "aspect_ratios_selection": f"{wanted.size[0]}*{wanted.size[1]}",
            "performance_selection": "Speed",
            **wanted.fields,
        }

    def _controlled(self, words: Steered, wanted: Wanted, base: DiffusionModel) -> Steered:
        if wanted.edges is None:
            return words
        resources = self._engine.resources
        path = resources.catalogue.find(CONTROLNET, CONTROL_FILE, embedded=self._shipped)
        file = resources.store.resident(version_of(path), lambda to: ControlLora.load(path, to.device, to.dtype))
        network = ControlNetwork.upon(base, file)
        controls = [image_control(network, wanted.edges, weight=1.0, stop=STOP, softness=SOFTNESS)]
        positive, negative = (controlled(side, controls) for side in (words.positive, words.negative))
        return replace(words, positive=positive, negative=negative)

    def _prompts(self, wanted: Wanted, base: DiffusionModel) -> tuple[ImagePrompt, ...]:
        if wanted.prompt is None:
            return ()
        prompter = image_prompter(IMAGE_PROMPT_FILE, self._model, base.unet, self._engine.resources)
        image, weight = wanted.prompt
        return (prompter.prompt(image, weight=weight, stop=1.0),)


def _silent_job() -> Job:
    return Job("evaluation", lambda event: None)
