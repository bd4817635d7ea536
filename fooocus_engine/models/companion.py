"""The companion folder of a checkpoint: what tensors cannot tell, in diffusers and transformers form (models.md §5.2).

Beside ``<name>.safetensors`` lies ``<name>/`` with any of ``unet.json``, ``vae.json``, ``text_encoder.json``,
``text_encoder_2.json`` and ``tokenizer/``. Sizes are never taken from here: they are read from the tensors. Our own
addition is ``model.json``, which tells the size of the pictures that the model is at home with. No torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fooocus_engine.errors import BadModelFile

NATIVE_SIDE = 1024  # of SDXL; working sizes are multiples of it (image-uov.md §§1, 2; image-inpaint.md §3)
SIDES = range(64, 4097, 64)


@dataclass(frozen=True)
class Companion:
    """The files of a companion folder; an absent one is empty, an absent tokenizer ``None``."""

    unet: Mapping[str, Any] = field(default_factory=dict)
    vae: Mapping[str, Any] = field(default_factory=dict)
    text_encoder: Mapping[str, Any] = field(default_factory=dict)
    text_encoder_2: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: Path | None = None


def read_companion(checkpoint: Path) -> Companion:
    """The companion of a checkpoint file; empty where the folder is missing.

    Raises:
        BadModelFile: a file of it is not a JSON object.
    """
    folder = checkpoint.with_suffix("")
    tokenizer = folder / "tokenizer"
    return Companion(
        unet=_read(folder / "unet.json"),
        vae=_read(folder / "vae.json"),
        text_encoder=_read(folder / "text_encoder.json"),
        text_encoder_2=_read(folder / "text_encoder_2.json"),
        tokenizer=tokenizer if tokenizer.is_dir() else None,
    )


def read_told(weights: Path, name: str) -> Mapping[str, Any]:
    """The JSON file ``name`` in the companion folder of any weights file; empty where there is none.

    Raises:
        BadModelFile: it is not a JSON object.
    """
    return _read(weights.with_suffix("") / name)


def native_side(checkpoint: Path) -> int:
    """Side of the square pictures that a checkpoint was trained on, in pixels, as its companion tells; SDXL's else.

    Raises:
        BadModelFile: the companion is no JSON object, or its ``native_side`` no such number.
    """
    told = read_told(checkpoint, "model.json").get("native_side", NATIVE_SIDE)
    if not isinstance(told, int) or told not in SIDES:
        limits = f"a multiple of {SIDES.step} from {SIDES[0]} to {SIDES[-1]}"
        raise BadModelFile(f"{checkpoint.stem}/model.json: native_side must be {limits}; got {told!r}")
    return told


def _read(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadModelFile(f"{path.parent.name}/{path.name}: not readable JSON") from error
    if not isinstance(content, dict):
        raise BadModelFile(f"{path.parent.name}/{path.name}: a JSON object is needed")
    return content
