"""Tagger: tags of a drawing by the WD14 network, and the list that names its outputs (image-tools.md §1.2).

Takes RGB pictures, gives text. Knows no requests.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fooocus_engine.errors import BadModelFile, ModelUnavailable
from fooocus_engine.vision.onnx_network import OnnxNetwork

GENERAL, CHARACTER = "0", "4"  # categories of the list
GENERAL_ABOVE, CHARACTER_ABOVE = 0.35, 0.85  # scores from which tags are told, exclusive
NAME, CATEGORY = 1, 2  # columns of the list
WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Tags:
    """The network's outputs by name, and where the blocks of the two categories begin."""

    names: tuple[str, ...]
    general: int
    character: int


@dataclass(frozen=True, eq=False)
class Tagger:
    """The network with its list."""

    network: OnnxNetwork
    tags: Tags
    side: int
    """Pixels of the square that it looks at."""

    @classmethod
    def load(cls, network: Path, tags: Path) -> Tagger:
        """The tagger of two files.

        Raises:
            ModelUnavailable: one is missing.
            BadModelFile: one is damaged, or they do not fit together.
        """
        loaded = OnnxNetwork.load(network)
        match loaded.shape:
            case (_, int(height), _, _):
                return cls(loaded, read_tags(tags), height)
            case shape:
                raise BadModelFile(f"{loaded.file}: takes {list(shape)}; pictures [1, side, side, 3] are needed")

    def describe(self, image: Image.Image) -> str:
        """The tags of ``image`` (RGB), characters first, joined by commas.

        Raises:
            BadModelFile: the network has not as many outputs as the list has names.
        """
        scores = self.network.first_output(prepared(image, self.side)).ravel()
        if len(scores) != len(self.tags.names):
            lengths = f"{len(scores)} outputs, its list {len(self.tags.names)} names"
            raise BadModelFile(f"{self.network.file}: has {lengths}")
        return as_text(chosen(self.tags, scores.tolist()))


def read_tags(path: Path) -> Tags:
    """The list of a CSV file; its header is skipped.

    Raises:
        ModelUnavailable: there is no such file.
        BadModelFile: it is no such list.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file))[1:]
        categories = [row[CATEGORY] for row in rows]
        return Tags(tuple(row[NAME] for row in rows), categories.index(GENERAL), categories.index(CHARACTER))
    except FileNotFoundError as error:
        raise ModelUnavailable(f"model file {path.name!r} is not installed") from error
    except (OSError, ValueError, IndexError, csv.Error) as error:
        raise BadModelFile(f"{path.name}: no list of tags with their categories") from error


def prepared(image: Image.Image, side: int) -> NDArray[np.float32]:
    """``image`` (RGB) in the middle of a white square, ``[1, side, side, 3]`` in 0–255, blue first."""
    scale = side / max(image.size)
    width, height = (max(1, int(length * scale)) for length in image.size)
    square = Image.new("RGB", (side, side), WHITE)
    small = image.resize((width, height), Image.Resampling.LANCZOS)
    square.paste(small, ((side - width) // 2, (side - height) // 2))
    return np.ascontiguousarray(np.asarray(square, np.float32)[None, :, :, ::-1])


def chosen(tags: Tags, scores: Sequence[float]) -> list[str]:
    """Names whose score is high enough: characters, then general tags, in the order of the list."""
    scored = list(zip(tags.names, scores, strict=True))
    characters = [name for name, score in scored[tags.character :] if score > CHARACTER_ABOVE]
    general = [name for name, score in scored[tags.general : tags.character] if score > GENERAL_ABOVE]
    return characters + general


def as_text(names: Sequence[str]) -> str:
    """Brackets escaped, as prompts want them; blanks for underscores, in emoticons too."""
    return ", ".join(name.replace("(", r"\(").replace(")", r"\)") for name in names).replace("_", " ")
