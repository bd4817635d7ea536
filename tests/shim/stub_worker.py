"""A worker without an engine: understands a job's input by the contracts of the handler and answers at once."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import Any

from PIL import Image

from fooocus_engine.endpoints.dialects import canonical
from fooocus_engine.endpoints.generate.contract import GenerateRequest, validate_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.seeds import with_seed
from fooocus_engine.endpoints.problems import validated
from fooocus_engine.endpoints.table import served_endpoint
from fooocus_engine.errors import EngineError, reply_fields
from fooocus_engine.output.encode import Embedded, encode, media_type
from fooocus_engine.output.publish import data_url
from fooocus_engine.prompts.styles import load_styles
from fooocus_engine.settings import Settings

MODELS = {"model_filenames": ["juggernautXL_v8Rundiffusion.safetensors"], "lora_filenames": ["a.safetensors"]}
ANSWERS: dict[str, Any] = {
    "all-models": MODELS, "refresh-models": MODELS, "clean-vram": {"message": "ok"}, "ping": {"message": "pong"},
    "describe-image": {"describe": "a bear"}, "generate-mask": {"mask": "iVBORw0KGgo="},
    "read-metadata": {"scheme": "fooocus", "request": {"prompt": "a boat"}},
}  # fmt: skip


def worker(job_id: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a handler returns for a job: its output, or an object with ``error``."""
    try:
        name, fields, _ = canonical(given)
        row = served_endpoint(name)
        model = row.request
        assert model is not None
        if row.job_type is None:
            validated(model, fields)
            return dict(ANSWERS[name])
        assert issubclass(model, GenerateRequest)
        request = validate_generation(
            fields, model, default_preset=preset_named("default"), styles=_styles(), limits=Settings()
        )
        return _generated(job_id, row.job_type, with_seed(request))
    except EngineError as error:
        return {"error": json.dumps(reply_fields(error))}


def _generated(job_id: str, job_type: str | None, request: GenerateRequest) -> dict[str, Any]:
    results = [_result(job_id, request, index) for index in range(request.image_number)]
    return {
        "job_type": job_type, "job_stage": "SUCCESS", "job_progress": 100, "job_status": "Finished",
        "job_result": results, "warnings": [], "params": request.model_dump(mode="json"), "timings": {"total_ms": 1},
    }  # fmt: skip


def _result(job_id: str, request: GenerateRequest, number: int) -> dict[str, Any]:
    index = request.image_index_offset + number
    seed = (request.image_seed + index) % 2**63
    embedded = Embedded(request.meta_scheme, json.dumps({"prompt": request.prompt})) if request.save_meta else None
    data = encode(Image.new("RGB", (16, 16), (seed % 256, index, 7)), request.save_extension, embedded)
    return {
        "base64": data_url(data, media_type(request.save_extension)), "url": None, "seed": str(seed),
        "finish_reason": "SUCCESS", "width": 16, "height": 16,
        "file_name": f"{request.save_name or job_id}-{index}.{request.save_extension}",
    }  # fmt: skip


@cache
def _styles() -> tuple[str, ...]:
    return load_styles().legal_names()


def seed_color(data: bytes) -> tuple[int, ...]:
    """The color that tells a made picture's seed and index."""
    with Image.open(io.BytesIO(data)) as image:
        color = image.convert("RGB").getpixel((0, 0))
    assert isinstance(color, tuple)
    return color
