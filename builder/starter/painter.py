"""Pictures of captions through the product's engine, as a client would ask for them. Knows no scores."""

from __future__ import annotations

import argparse
import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from builder.starter.model import NATIVE
from builder.starter.pictures import Size
from fooocus_engine.endpoints.generate.image_prompts import Kind
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.engine import Engine
from fooocus_engine.errors import ModelUnavailable
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import CHECKPOINTS
from fooocus_engine.models.upscaler import Upscaler
from fooocus_engine.settings import Settings

PRESET = "starter"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model paints."""
    parser.add_argument("--models", type=Path, default=Path("no-models"), help="a models folder")
    parser.add_argument("--model", help="name of a checkpoint in it; default: the shipped one")


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture that steers besides the caption."""

    kind: Kind
    image: Image.Image
    """RGB."""
    weight: float | None = None
    stop: float | None = None
    """``None`` = as usual for the kind."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """A picture to paint."""

    caption: str
    seed: int
    size: Size = NATIVE
    """(width, height) in pixels."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """More of the request's."""
    shown: Shown | None = None


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
        reply = self._engine.run(self._request(wanted), Job("evaluation", lambda event: None))
        data = reply["job_result"][0]["base64"].partition(",")[2]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def _request(self, wanted: Wanted) -> dict[str, Any]:
        return {
            "endpoint": "text-to-image-with-ip",
            "image_prompts": [] if wanted.shown is None else [_entry(wanted.shown)],
            "preset": PRESET,
            "base_model_name": self._model,
            "prompt": wanted.caption,
            "image_seed": wanted.seed,
            "aspect_ratios_selection": f"{wanted.size[0]}*{wanted.size[1]}",
            "performance_selection": "Speed",
            **wanted.fields,
        }


def _entry(shown: Shown) -> dict[str, Any]:
    """``shown`` as a request lists it."""
    buffer = io.BytesIO()
    shown.image.save(buffer, "PNG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    return {"cn_img": picture, "cn_type": shown.kind.value, "cn_weight": shown.weight, "cn_stop": shown.stop}
