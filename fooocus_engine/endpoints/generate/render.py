"""Plan + models → pictures, in the order the reference works: all expansions, all encodings, then image by image.

Runs inside the engine's turn on the device. Stores nothing and knows no request; the conductor does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from diffusers import UNet2DConditionModel
from PIL import Image
from torch import Tensor

from fooocus_engine.conditioning.control import ImageControl, controlled
from fooocus_engine.conditioning.encode import for_base, for_refiner
from fooocus_engine.conditioning.text import TextConditioner
from fooocus_engine.endpoints.generate.plan import GenerationPlan, Upscale
from fooocus_engine.jobs.events import MAX_PREVIEW_BYTES
from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.models.codec import to_uint8
from fooocus_engine.models.freeu import freeu
from fooocus_engine.models.image_attention import ImagePrompt
from fooocus_engine.models.inpaint_patch import head_added
from fooocus_engine.models.preview import PreviewDecoder
from fooocus_engine.models.store import Prepared
from fooocus_engine.output.encode import small_png
from fooocus_engine.prompts.expansion import PromptExpander
from fooocus_engine.sampling.sample import Recipe, Sampled, sample
from fooocus_engine.sampling.settings import FreeU
from fooocus_engine.sampling.unet_denoiser import Stage
from fooocus_engine.types import PIXELS_PER_LATENT, Canvas, Conditioning, ImageTask, OnStep, Step

PreviewsOf = Callable[[str], PreviewDecoder | None]
"""Family of the latents → what draws them; ``None`` where its file is not installed."""

Finish = Callable[[Image.Image], Image.Image]

Begin = Callable[[int], OnStep]
"""Told the number of each picture when it begins; gives who hears of its steps."""

NEAR_ONE = 1e-4  # a CFG this close to 1 takes the positive as its negative (prompt.md §10)


@dataclass(frozen=True, eq=False)
class Steered:
    """One picture's words as tensors."""

    task: ImageTask
    expansion: str
    positive: Conditioning
    negative: Conditioning


@dataclass(frozen=True, eq=False)
class Rendered:
    """One picture."""

    task: ImageTask
    expansion: str
    image: Image.Image
    blacked_out: bool = False
    """By the safety check."""


@dataclass(frozen=True, eq=False)
class Groundwork:
    """What is ready before the first picture begins, the same for all of them."""

    canvas: Canvas
    shown: Tensor | None = None
    """What the base UNet is shown behind its input convolution, see ``head_added``."""
    finish: Finish = lambda made: made
    """What becomes of a decoded picture."""
    controls: tuple[ImageControl, ...] = ()
    """What adds to the base UNet's residuals."""
    prompts: tuple[ImagePrompt, ...] = ()
    """What the base UNet looks at besides the words."""


def sampled_size(plan: GenerationPlan) -> tuple[int, int]:
    """(width, height) in pixels of what is sampled: the asked size, cut to whole latent pixels (sampling.md §3)."""
    width, height = (side // PIXELS_PER_LATENT * PIXELS_PER_LATENT for side in plan.size)
    return width, height


def expand_all(plan: GenerationPlan, expander: PromptExpander | None, job: Job) -> list[str]:
    """The expansion of each picture's prompt; empty where none is wanted. Only then may ``expander`` be ``None``."""
    expansions = [""] * len(plan.images)
    for index, task in enumerate(plan.images):
        if task.expand:
            if expander is None:
                raise ValueError("the plan wants an expansion")
            job.stage(Phase.EXPANDING, index + 1)
            expansions[index] = expander.expand(task.prompt, task.seed)
    return expansions


def encode_all(plan: GenerationPlan, expansions: list[str], conditioner: TextConditioner, job: Job) -> list[Steered]:
    """Conditioning of every picture: first all positives, then all negatives (prompt.md §10)."""
    guidance, size = plan.guidance, sampled_size(plan)
    positives, negatives = [], []
    for number, (task, expansion) in enumerate(zip(plan.images, expansions, strict=True), start=1):
        job.stage(Phase.ENCODING_POSITIVE, number)
        texts = (*task.positive, expansion) if task.expand else task.positive
        positives.append(conditioner.encode(texts, len(task.positive)))
    for number, (task, positive) in enumerate(zip(plan.images, positives, strict=True), start=1):
        if abs(guidance.cfg - 1) < NEAR_ONE:
            job.skip(Phase.ENCODING_NEGATIVE)
            negatives.append(positive)
        else:
            job.stage(Phase.ENCODING_NEGATIVE, number)
            negatives.append(conditioner.encode(task.negative, len(task.negative)))
    return [
        Steered(
            task,
            expansion,
            for_base(positive, size, adm_scale=guidance.adm_positive, adm_end=guidance.adm_end),
            for_base(negative, size, adm_scale=guidance.adm_negative, adm_end=guidance.adm_end),
        )
        for task, expansion, positive, negative in zip(plan.images, expansions, positives, negatives, strict=True)
    ]


def render_all(
    plan: GenerationPlan, steered: list[Steered], prepared: Prepared, ground: Groundwork, begin: Begin
) -> Iterator[Rendered]:
    """The pictures, one after another, all from the same canvas."""
    tiled, unet = isinstance(plan.goal, Upscale), prepared.base.unet
    with shown_to(unet, ground.shown), freeu_of(unet, plan.guidance.freeu), torch.inference_mode():
        for number, words in enumerate(steered):
            on_step = begin(number)
            sampled = sample(recipe(plan, words, prepared, ground), seed=words.task.seed, on_step=on_step)
            yield Rendered(words.task, words.expansion, ground.finish(decoded(sampled, prepared, tiled=tiled)))


def shown_to(unet: UNet2DConditionModel, feature: Tensor | None) -> AbstractContextManager[None]:
    """The inpaint head's ``feature`` in ``unet`` while the context lasts; nothing without one."""
    return nullcontext() if feature is None else head_added(unet, feature)


def freeu_of(unet: UNet2DConditionModel, settings: FreeU | None) -> AbstractContextManager[None]:
    """FreeU on ``unet`` while the context lasts; nothing without settings."""
    if settings is None:
        return nullcontext()
    return freeu(unet, settings.b1, settings.b2, settings.s1, settings.s2)


def recipe(plan: GenerationPlan, words: Steered, prepared: Prepared, ground: Groundwork) -> Recipe:
    """All that decides a picture's latent but its seed."""
    positive, negative = (controlled(side, ground.controls) for side in (words.positive, words.negative))
    base = Stage(prepared.base, positive, negative, image_prompts=ground.prompts)
    return Recipe(base, _refining(plan, words, prepared), ground.canvas, plan.sampling, plan.guidance)


def _refining(plan: GenerationPlan, words: Steered, prepared: Prepared) -> Stage | None:
    refiner = prepared.refiner
    if refiner is None:
        return None
    size = sampled_size(plan)
    positive = for_refiner(words.positive, size, prepared.base, refiner, positive=True)
    negative = for_refiner(words.negative, size, prepared.base, refiner, positive=False)
    return Stage(refiner, positive, negative, prepared.interposer)


def beginning(job: Job, prepared: Prepared, previews: PreviewsOf | None) -> Begin:
    """Tells ``job`` of a picture's beginning and steps. ``previews`` draws those that are wanted; ``None``: none."""

    def begin(number: int) -> OnStep:
        job.start_image(number)
        return reporting(job, number, prepared, previews)

    return begin


def reporting(job: Job, number: int, prepared: Prepared, previews: PreviewsOf | None) -> OnStep:
    """Tells ``job`` each step of its picture ``number``, with a preview where one is wanted and can be drawn."""

    def on_step(step: Step) -> None:
        decoder = previews(_family(step, prepared)) if previews and job.wants_preview() else None
        shown = small_png(decoder.render(step.x0), MAX_PREVIEW_BYTES) if decoder else None
        job.step(number, step.index, step.total, preview=shown)

    return on_step


def _family(step: Step, prepared: Prepared) -> str:
    """The family of the model in whose latent space a step was made."""
    refiner = prepared.refiner if step.by == "refiner" else None
    return (refiner or prepared.base).family


def decoded(sampled: Sampled, prepared: Prepared, *, tiled: bool = False) -> Image.Image:
    """Decode with the autoencoder of the model that made the latent; a refiner without one shares the base's."""
    refiner = prepared.refiner if sampled.by == "refiner" else None
    codec = (refiner and refiner.codec) or prepared.base.codec
    if codec is None:
        raise ValueError("the base model has no autoencoder")
    decode = codec.decode_tiled if tiled else codec.decode
    return Image.fromarray(to_uint8(decode(sampled.latent))[0])
