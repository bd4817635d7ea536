"""What image prompts do to pictures: how much of a prompt's colour they show, by weight. Through the engine.

``python -m builder.starter.image_prompting --models … --model …`` prints the shares.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import torch
from PIL import Image

from builder.starter.colour_share import colour_share
from builder.starter.drawing import picture
from builder.starter.model import NATIVE
from builder.starter.painter import asked, planned
from builder.starter.world import SHAPES, Group, Scene
from fooocus_engine.endpoints.generate.encoders import IMAGE_PROMPT_FILE, image_prompter, text_conditioner
from fooocus_engine.endpoints.generate.render import decoded, encode_all, recipe
from fooocus_engine.engine import Engine
from fooocus_engine.jobs.job import Job
from fooocus_engine.sampling.sample import sample
from fooocus_engine.settings import Settings

WEIGHTS = (0.1, 0.5, 1.0, 1.5)
COLOUR = "red"
STOP = 1.0
CAPTIONS = tuple(f"a large {shape} on a {ground} background" for shape in SHAPES for ground in ("gray", "white"))
"""They leave the object's colour open."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m builder.starter.image_prompting", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="a models folder")
    parser.add_argument("--model", help="name of a checkpoint in it; default: the shipped one")
    parser.add_argument("--count", type=int, default=16, help="pictures for each weight")
    given = parser.parse_args()
    painter = PromptPainter(given.models, given.model)
    for weight, share in colour_by_weight(painter, given.count).items():
        sys.stdout.write(f"weight {weight}: share of {COLOUR} {share:.4f}\n")


class PromptPainter:
    """Pictures of a caption and an image prompt, as a request of the preset of the shipped model is planned."""

    def __init__(self, models: Path, model: str | None = None) -> None:
        """``models`` is a models folder; ``model`` a checkpoint in it, ``None`` for the shipped one."""
        self._resources = Engine(Settings(models_dir=models, device="cpu")).resources
        self._model = model

    def picture(self, caption: str, seed: int, prompt: Image.Image, weight: float) -> Image.Image:
        """One picture of the native size; ``prompt`` (RGB) is looked at until the end."""
        resources, job = self._resources, Job("measure", lambda event: None)
        plan = planned(asked(caption, seed, model=self._model), resources)
        with torch.inference_mode(), resources.store.prepared(plan.models) as prepared:
            (words,) = encode_all(plan, [""], text_conditioner(plan, prepared.base, resources), job)
            prompter = image_prompter(IMAGE_PROMPT_FILE, plan.models.base, prepared.base.unet, resources)
            told = recipe(plan, words, prepared)
            prompts = (prompter.prompt(prompt, weight=weight, stop=STOP),)
            told = replace(told, base=replace(told.base, image_prompts=prompts))
            return decoded(sample(told, seed=seed, on_step=lambda step: None), prepared)


def colour_by_weight(
    painter: PromptPainter, count: int, *, colour: str = COLOUR, weights: Sequence[float] = WEIGHTS
) -> Mapping[float, float]:
    """Mean share of pixels of ``colour`` in ``count`` pictures for each weight of a prompt with an object of it.

    Seeds, captions and prompts are the same for every weight.
    """
    shares = {}
    for weight in weights:
        made = [
            painter.picture(CAPTIONS[seed % len(CAPTIONS)], seed, object_picture(colour, seed), weight)
            for seed in range(count)
        ]
        shares[weight] = float(np.mean([colour_share(image, colour) for image in made]))
    return shares


def object_picture(colour: str, seed: int) -> Image.Image:
    """A large object of ``colour`` in the middle, on gray."""
    random = Random(seed)
    group = Group(number=1, colour=colour, shape=random.choice(SHAPES), size="large", fill="plain", place="centre")
    return picture(Scene("gray", (group,), None), NATIVE, random)


if __name__ == "__main__":
    main()
