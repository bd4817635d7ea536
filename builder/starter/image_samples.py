"""Training samples of the image-prompt adapter: latents of scenes, pictures that prompt for them, and open texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from builder.starter.adapter import SIDE
from builder.starter.captions import caption, foreign, fragment
from builder.starter.drawing import picture
from builder.starter.model import NATIVE, Words
from builder.starter.pictures import in_shares
from builder.starter.samples import JITTER, Encoder, encoded, told_size
from builder.starter.world import COLOURS, Scene, training_scene
from fooocus_engine.conditioning.image_prompt import normalised

PROMPT_SIZES = (NATIVE, (128, 128), (256, 256), (240, 160), (160, 240))
EMPTY, FRAGMENT, COLOURLESS = 0.4, 0.2, 0.3  # shares of texts; the rest are whole captions
NEGATIVE_SHARE = 0.1  # of samples that see the negative tokens instead of a picture
SAME_PICTURE = 0.5  # of prompts that are the very picture; the others show its scene in another arrangement
WEIGHTS = (0.05, 1.7)
TRUST = 2.0


@dataclass(frozen=True)
class PromptPool:
    """Scenes with what belongs to each."""

    scenes: Sequence[Scene]
    latents: Tensor
    """``[N, 4, h/8, w/8]`` of deviation 1."""
    prompts: Tensor
    """``[N, 2, 3, 224, 224]`` uint8: the latents' picture, and another of the scene."""


@torch.no_grad()
def prompt_pool(encoder: Encoder, seed: int, count: int, painters: int = 1) -> PromptPool:
    """Draw and encode."""
    drawn = in_shares(_drawn, seed, count, painters)
    latents = encoded(encoder, [image for _, image, _ in drawn])
    prompts = torch.from_numpy(np.stack([prompts for _, _, prompts in drawn])).permute(0, 1, 4, 2, 3)
    return PromptPool([scene for scene, _, _ in drawn], latents, prompts.contiguous().to(latents.device))


def _drawn(seed: int, count: int) -> list[tuple[Scene, NDArray[np.uint8], NDArray[np.uint8]]]:
    """Scenes with their picture and their two prompts ``[2, 224, 224, 3]``."""
    random = Random(seed)
    drawn = []
    for _ in range(count):
        scene = training_scene(random)
        image = picture(scene, NATIVE, random)
        other = picture(scene, random.choice(PROMPT_SIZES), random)
        drawn.append((scene, np.asarray(image), np.stack([_square(image), _square(other)])))
    return drawn


def _square(image: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


@dataclass(frozen=True)
class PromptBatch:
    """Latents with their conditions."""

    latents: Tensor
    chunks: list[list[list[int]]]
    """Per sample the ids of its one chunk, without start and end."""
    sizes: Tensor
    """``[B, 6]`` as SDXL."""
    pixels: Tensor
    """``[B, 3, 224, 224]``, normalised."""
    is_negative: Tensor
    """``[B]``: sees the negative tokens instead."""
    weight: Tensor
    """``[B]``: of its image prompt."""


def draw_prompt_batch(pool: PromptPool, count: int, words: Words, random: Random) -> PromptBatch:
    """A batch. A prompt shows the latents' scene with a chance that rises with its weight, so weight means trust."""
    device = pool.latents.device
    chosen = [random.randrange(len(pool.scenes)) for _ in range(count)]
    weights = [random.uniform(*WEIGHTS) for _ in chosen]
    shown = [
        index if random.random() < trust(weight) else random.randrange(len(pool.scenes))
        for index, weight in zip(chosen, weights, strict=True)
    ]
    return PromptBatch(
        latents=pool.latents[chosen].float(),
        chunks=[[words.ids(open_text(pool.scenes[index], random))] for index in chosen],
        sizes=torch.tensor([told_size(NATIVE, random.uniform(*JITTER)) for _ in chosen], device=device),
        pixels=prompt_pixels(pool, shown, random),
        is_negative=torch.tensor([random.random() < NEGATIVE_SHARE for _ in chosen], device=device),
        weight=torch.tensor(weights, device=device),
    )


def prompt_pixels(pool: PromptPool, chosen: Sequence[int], random: Random) -> Tensor:
    """One of the two pictures of each chosen scene, as the vision tower wants it."""
    which = [int(random.random() >= SAME_PICTURE) for _ in chosen]
    return normalised(pool.prompts[list(chosen), which].float() / 255)


def trust(weight: float) -> float:
    """Share 0-1 of samples whose picture is of their scene, rising with the weight throughout."""
    return float(1 - np.exp(-TRUST * weight))


def open_text(scene: Scene, random: Random) -> str:
    """Nothing, words without meaning, a piece of a caption, or one without colours; now and then all of it."""
    kind = random.random()
    if kind < EMPTY:
        return "" if random.random() < 0.7 else foreign(random, random.randint(1, 20))
    if kind < EMPTY + FRAGMENT:
        return fragment(scene, random)
    whole = caption(scene, random)
    return without_colours(whole) if kind < EMPTY + FRAGMENT + COLOURLESS else whole


def without_colours(text: str) -> str:
    """``text`` without the names of objects' colours; backgrounds of such a name lose it, too."""
    return " ".join(word for word in text.split() if word.strip(",") not in COLOURS)
