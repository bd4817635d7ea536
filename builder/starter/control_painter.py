"""Pictures under a control image, through the engine's own plan, conditioning and sampling. Knows no scores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from builder.starter.painter import asked, planned
from fooocus_engine.conditioning.control import ImageControl, controlled, image_control
from fooocus_engine.endpoints.generate.encoders import prompt_expander, text_conditioner
from fooocus_engine.endpoints.generate.render import decoded, encode_all, expand_all, recipe
from fooocus_engine.engine import Engine
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.control_lora import ControlLora, ControlNetwork
from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.sampling.sample import sample
from fooocus_engine.settings import Settings

STOP, SOFTNESS = 0.5, 0.25  # what a request that names none gets (image-control.md)


class ControlPainter:
    """An engine with the preset of the shipped model, and a control-LoRA file."""

    def __init__(self, models: Path, file: Path, model: str | None = None) -> None:
        """``models`` is a models folder; ``model`` a checkpoint in it, ``None`` for the shipped one."""
        self._resources = Engine(Settings(models_dir=models, device="cpu")).resources
        self._file = file
        self._model = model

    def picture(self, caption: str, seed: int, edges: NDArray[np.uint8], weight: float = 1.0) -> Image.Image:
        """The picture of ``caption`` under an edge map ``[h, w]``, of its size. A ``weight`` of 0 lets go of it."""
        resources, job = self._resources, Job("controlled", lambda event: None)
        plan = planned(asked(caption, seed, (edges.shape[1], edges.shape[0]), self._model), resources)
        with resources.gpu_turn(job), resources.store.prepared(plan.models) as prepared, torch.inference_mode():
            expansions = expand_all(plan, prompt_expander(plan, resources), job)
            (words,) = encode_all(plan, expansions, text_conditioner(plan, prepared.base, resources), job)
            controls = [self._control(prepared.base, edges, weight)]
            positive, negative = (controlled(side, controls) for side in (words.positive, words.negative))
            steered = recipe(plan, replace(words, positive=positive, negative=negative), prepared)
            return decoded(sample(steered, seed=seed, on_step=lambda step: None), prepared)

    def _control(self, base: DiffusionModel, edges: NDArray[np.uint8], weight: float) -> ImageControl:
        network = ControlNetwork.upon(base, ControlLora.load(self._file, base.device, base.dtype))
        return image_control(network, edges, weight=weight, stop=STOP, softness=SOFTNESS)
