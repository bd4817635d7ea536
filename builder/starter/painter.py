"""Pictures of captions through the product's engine, as a client would ask for them. Knows no scores."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from PIL import Image

from builder.starter.model import NATIVE
from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.engine import Engine
from fooocus_engine.jobs.job import Job
from fooocus_engine.settings import Settings


def asked(caption: str, seed: int, size: tuple[int, int] = NATIVE, model: str | None = None) -> dict[str, Any]:
    """The request for one picture of ``size`` (width, height); ``model`` is a checkpoint, ``None`` the shipped one."""
    return {
        "preset": "starter",
        "prompt": caption,
        "image_seed": seed,
        "aspect_ratios_selection": f"{size[0]}*{size[1]}",
        **({} if model is None else {"base_model_name": model}),
    }


def planned(request: dict[str, Any], resources: Resources) -> GenerationPlan:
    """``request`` as the engine plans it."""
    words, settings = resources.words, resources.settings
    checked = validate_generation(
        request, default_preset=preset_named("starter"), styles=words.styles.legal_names(), limits=settings
    )
    return plan_generation(checked, resources.catalogue, words, max_loras=settings.max_loras)


class Painter:
    """An engine with the preset of the shipped model."""

    def __init__(self, models: Path, model: str | None = None) -> None:
        """``models`` is a models folder; ``model`` a checkpoint in it, ``None`` for the shipped one."""
        self._engine = Engine(Settings(models_dir=models, device="cpu"))
        self._model = model

    def picture(self, caption: str, seed: int, size: tuple[int, int] = NATIVE, **fields: Any) -> Image.Image:
        """One picture of ``size`` (width, height); ``fields`` are more of the request's."""
        request = {"endpoint": "text-to-image", **asked(caption, seed, size, self._model), **fields}
        reply = self._engine.run(request, Job("evaluation", lambda event: None))
        data = reply["job_result"][0]["base64"].partition(",")[2]
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
