"""Detector: boxes around what words name in a picture, by GroundingDINO (image-tools.md §2.2, 1 to 3).

Takes RGB pictures and words; gives boxes in the picture's pixels. Knows no requests and no masks.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from tokenizers import BertWordPieceTokenizer
from torch import Tensor
from transformers import GroundingDinoForObjectDetection

from fooocus_engine.errors import BadModelFile
from fooocus_engine.models.companion import read_told
from fooocus_engine.models.weights import assign, built
from fooocus_engine.vision.detector_names import library_names, sizes
from fooocus_engine.vision.names import read_wrapped
from fooocus_engine.vision.pixels import IMAGENET_DEVIATION, IMAGENET_MEAN, normalised
from fooocus_engine.vision.vocabulary import BEGIN, END, load_vocabulary

SHORTEST, LONGEST = 800, 1333  # pixels that the sides of a picture are brought to
MOST_TOKENS = 256
STOPS = (".", "?")  # what parts one name from the next, besides the marks of begin and end
TOLD = "detector.json"


class PixelBox(NamedTuple):
    """A box in pixels of a picture; it may reach out of it."""

    left: float
    top: float
    right: float
    bottom: float

    def grown(self, pixels: int) -> PixelBox:
        """Larger by so many pixels on every side; smaller if negative."""
        return PixelBox(self.left - pixels, self.top - pixels, self.right + pixels, self.bottom + pixels)


@dataclass(frozen=True, eq=False)
class Detector:
    """The network, in float32, with its vocabulary."""

    network: Any
    """transformers' ``GroundingDinoForObjectDetection`` in evaluation mode."""
    vocabulary: BertWordPieceTokenizer
    device: torch.device

    @classmethod
    def load(cls, path: Path, vocabulary: Path, device: torch.device) -> Detector:
        """The detector of two files.

        Raises:
            ModelUnavailable: a file is missing.
            BadModelFile: a file is damaged, or the two do not fit together.
        """
        words, told = load_vocabulary(vocabulary), read_told(path, TOLD)
        tensors = library_names(read_wrapped(path), path.name)
        config = sizes(tensors, told, path.name)
        if config.text_config.vocab_size < words.get_vocab_size():
            raise BadModelFile(f"{path.name}: knows fewer tokens than its vocabulary {vocabulary.name}")
        network = built(lambda: GroundingDinoForObjectDetection(config), file=path.name, part="detector")
        assign(network, tensors, file=path.name, part="detector", convert=lambda _, t: t.to(device, torch.float32))
        _fill_buffers(network, words, device)
        return cls(network, words, device)

    @torch.no_grad()
    def boxes(self, image: Image.Image, words: str, threshold: float, *, blue_first: bool = False) -> list[PixelBox]:
        """Boxes whose score for any token of ``words`` is above ``threshold``, in the network's order.

        ``blue_first``: the colours swapped, as the reference's detector sees them; to compare with it.
        """
        tokens = torch.tensor([self.vocabulary.encode(caption_of(words)).ids[:MOST_TOKENS]], device=self.device)
        seen = self.network(pixel_values=prepared(image, blue_first=blue_first).to(self.device), input_ids=tokens)
        kept = seen.logits[0].sigmoid().amax(dim=-1) > threshold
        return [pixel_box(row, image.size) for row in seen.pred_boxes[0][kept].tolist()]


def caption_of(words: str) -> str:
    """``words`` as the network was trained on them."""
    plain = words.lower().strip()
    return plain if plain.endswith(".") else plain + "."


def pixel_box(relative: list[float], size: tuple[int, int]) -> PixelBox:
    """The box of a middle, a width and a height, all in shares of a picture's ``size`` (width, height)."""
    (across, down, wide, high), (width, height) = relative, size
    return PixelBox(
        (across - wide / 2) * width, (down - high / 2) * height, (across + wide / 2) * width, (down + high / 2) * height
    )


def fitted(size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) that a picture of ``size`` is looked at: the shorter side 800, the longer one 1333 at most."""
    short, long = sorted(size)
    side = round(LONGEST * short / long) if long / short * SHORTEST > LONGEST else SHORTEST
    other = int(side * long / short)
    return (side, other) if size[0] <= size[1] else (other, side)


def prepared(image: Image.Image, *, blue_first: bool = False) -> Tensor:
    """``image`` (RGB) as ``[1, 3, h, w]`` by ImageNet's mean and deviation."""
    values = np.asarray(image.resize(fitted(image.size), Image.Resampling.BILINEAR), np.float32) / 255
    if blue_first:
        values = values[..., ::-1]
    shown = torch.from_numpy(normalised(values, IMAGENET_MEAN, IMAGENET_DEVIATION))
    return shown.permute(2, 0, 1)[None].contiguous()


def _fill_buffers(network: Any, words: BertWordPieceTokenizer, device: torch.device) -> None:
    """Buffers that no file holds; they must not stay on the meta device."""
    model = network.model
    marks = [words.token_to_id(mark) for mark in (BEGIN, END, *STOPS)]
    model.special_tokens = torch.tensor([mark for mark in marks if mark is not None], device=device)
    text = model.text_backbone.embeddings
    text.position_ids = torch.arange(network.config.text_config.max_position_embeddings, device=device)[None]
    text.token_type_ids = torch.zeros_like(text.position_ids)
    index = window_index(network.config.backbone_config.window_size).to(device)
    for name, module in network.named_modules():
        if name.endswith(".relative_position_bias"):
            module.relative_position_index = index


def window_index(side: int) -> Tensor:
    """``[side⁴]``: which row of its table a pair of places in a window of ``side`` reads (arXiv:2103.14030, eq. 4)."""
    rows, columns = (
        places.flatten() for places in torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    )
    down, across = (places[:, None] - places[None] + side - 1 for places in (rows, columns))
    return (down * (2 * side - 1) + across).flatten()
