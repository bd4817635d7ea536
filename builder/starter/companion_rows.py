"""What the companions are measured by: LoRAs, upscaler, control-LoRA and image-prompt adapter; inpaints need one too.

One that is not installed has a row that says so and misses its target.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from random import Random

import numpy as np
from PIL import Image

from builder.starter.drawing import picture
from builder.starter.edge_agreement import agreements
from builder.starter.model import NATIVE
from builder.starter.outline import is_outlined
from builder.starter.painter import Wanted
from builder.starter.palette import colour_share
from builder.starter.repaint_rows import repaint_rows
from builder.starter.rows import Measures, Row, shares
from builder.starter.train_control import FILE as CONTROL_FILE
from builder.starter.train_style import FILE as STYLE_FILE
from builder.starter.upscaling import gain, held_out_pairs
from builder.starter.world import SHAPES, Group, Scene
from fooocus_engine.endpoints.generate.encoders import IMAGE_PROMPT_FILE, NEGATIVE_FILE, VISION_FILE
from fooocus_engine.endpoints.generate.performance import MODES, Performance
from fooocus_engine.models.catalogue import CLIP_VISION, CONTROLNET, LORAS, UPSCALERS
from fooocus_engine.models.store import UPSCALER_FILE

STYLE_TARGET, UNDONE = 0.9, 50
DISTILLED: Mapping[Performance, float | None] = {
    Performance.EXTREME_SPEED: 0.85,
    Performance.LIGHTNING: None,
    Performance.HYPER_SD: None,
}
"""The share of Speed's scores that each mode must reach; ``None`` = only reported."""
UPSCALED, GAIN_TARGET = 40, 1.0  # decibels over Lanczos
STEERED, EDGE_TARGET = 50, 0.6  # F1
PROMPTED, PROMPT_GAIN = 32, 0.05  # our own: how much more of its colour an image prompt shows at its full weight
PROMPT_WEIGHTS = (0.1, 0.5, 1.0, 1.5)
PROMPT_COLOUR = "red"
OPEN_CAPTIONS = tuple(f"a large {shape} on a {ground} background" for shape in SHAPES for ground in ("gray", "white"))
"""They leave the object's colour open."""

Files = Iterable[tuple[str, str]]
"""Kind and name of each."""


def companion_rows(measures: Measures) -> Iterator[Row]:
    """All rows, beside what ``measures`` has found of the model alone."""
    yield from _if_installed(measures, "style LoRA", [(LORAS, STYLE_FILE)], style_rows)
    for mode in DISTILLED:
        lora = MODES[mode].lora
        assert lora is not None, "distilled modes have a LoRA"
        yield from _if_installed(measures, mode, [(LORAS, lora[0])], partial(mode_rows, mode=mode))
    yield from _if_installed(measures, "upscaler", [(UPSCALERS, UPSCALER_FILE)], upscaler_rows)
    yield from _if_installed(measures, "inpaint", [(UPSCALERS, UPSCALER_FILE)], repaint_rows)
    yield from _if_installed(measures, "PyraCanny", [(CONTROLNET, CONTROL_FILE)], control_rows)
    files = ((CLIP_VISION, VISION_FILE), (CONTROLNET, IMAGE_PROMPT_FILE), (CONTROLNET, NEGATIVE_FILE))
    yield from _if_installed(measures, "image prompt", files, prompt_rows)


def _if_installed(
    measures: Measures, name: str, files: Files, rows: Callable[[Measures], Iterator[Row]]
) -> Iterator[Row]:
    missing = [file for kind, file in files if not measures.studio.has(kind, file)]
    if missing:
        yield Row(f"{name}: {missing[0]} is not installed", math.nan, 0, least=0)
    else:
        yield from rows(measures)


def style_rows(measures: Measures) -> Iterator[Row]:
    """Share of pictures that are outlines, with the LoRA and without; share that weight 0 leaves as they are."""
    told, plain = measures.told, measures.speed
    styled = measures.painted(told, loras=[_used(1)])
    yield Row("style LoRA: pictures of outlines", _outlined(styled), len(told), least=STYLE_TARGET)
    yield Row("without it: pictures of outlines", _outlined(plain), len(told))
    undone = measures.painted(told[:UNDONE], loras=[_used(0)])
    same = [np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(plain, undone, strict=False)]
    yield Row("style LoRA at weight 0: same bits", float(np.mean(same)), len(same), least=1)


def _used(weight: float) -> dict[str, object]:
    return {"enabled": True, "model_name": STYLE_FILE, "weight": weight}


def _outlined(pictures: Sequence[Image.Image]) -> float:
    return float(np.mean([is_outlined(picture) for picture in pictures]))


def mode_rows(measures: Measures, mode: Performance) -> Iterator[Row]:
    """Scores of a distilled mode, each with what it must reach of Speed's."""
    share, speed = DISTILLED[mode], shares(measures.found)
    for name, value in shares(measures.totals(measures.told, performance_selection=mode.value)).items():
        least = None if share is None else share * speed[name]
        yield Row(f"{mode.value}: {name}", value, len(measures.told), least=least)


def upscaler_rows(measures: Measures) -> Iterator[Row]:
    """PSNR beside that of plain resampling."""
    gained = gain(measures.studio.upscaler(), held_out_pairs(UPSCALED, measures.seed))
    yield Row("upscaler: decibels over Lanczos", gained, UPSCALED, least=GAIN_TARGET)


def control_rows(measures: Measures) -> Iterator[Row]:
    """How well pictures keep to edges, steered by them and told by the caption alone."""
    for name, steered, least in (("PyraCanny", True, EDGE_TARGET), ("by the caption alone", False, None)):
        found = agreements(measures.studio, STEERED, measures.seed, steered=steered)
        yield Row(f"{name}: edge F1", float(np.mean(found)), STEERED, least=least)


def prompt_rows(measures: Measures) -> Iterator[Row]:
    """How much of an image prompt's colour pictures show, by weight, and that the weight tells."""
    by_weight = {weight: _colour_shown(measures, weight) for weight in PROMPT_WEIGHTS}
    for weight, share in by_weight.items():
        yield Row(f"image prompt, weight {weight}: share of its colour", share, PROMPTED)
    gained = by_weight[PROMPT_WEIGHTS[-1]] - by_weight[PROMPT_WEIGHTS[0]]
    yield Row("image prompt: what the weight adds to it", gained, PROMPTED, least=PROMPT_GAIN)


def _colour_shown(measures: Measures, weight: float) -> float:
    """Mean share; seeds, captions and prompts are the same for every weight."""
    made = measures.studio.pictures(
        Wanted(OPEN_CAPTIONS[index % len(OPEN_CAPTIONS)], seed, prompt=(object_picture(PROMPT_COLOUR, seed), weight))
        for index, seed in enumerate(range(measures.seed, measures.seed + PROMPTED))
    )
    return float(np.mean([colour_share(image, PROMPT_COLOUR) for image in made]))


def object_picture(colour: str, seed: int) -> Image.Image:
    """A large object of ``colour`` in the middle, on gray."""
    random = Random(seed)
    group = Group(number=1, colour=colour, shape=random.choice(SHAPES), size="large", fill="plain", place="centre")
    return picture(Scene("gray", (group,), None), NATIVE, random)
