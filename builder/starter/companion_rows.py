"""What the companions beside the LoRAs are measured by: the upscaler, the control-LoRA, the image-prompt adapter."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from builder.starter import edge_agreement
from builder.starter.control_painter import ControlPainter
from builder.starter.image_prompting import PromptPainter, colour_by_weight
from builder.starter.rows import Row
from builder.starter.train_control import FILE as CONTROL_FILE
from builder.starter.upscaling import upscaler_gain
from fooocus_engine.models.catalogue import CONTROLNET, Catalogue
from fooocus_engine.models.store import UPSCALER_FILE

GAIN_TARGET = 1.0  # decibels over Lanczos
UPSCALED, STEERED, PROMPTED = 40, 50, 16  # pictures of each measure


def companion_rows(models: Path, model: str | None, seed: int) -> Iterator[Row]:
    """All rows; ``models`` is a models folder, ``model`` a checkpoint in it, ``None`` for the shipped one."""
    shipped = model is None
    gained = upscaler_gain(models, UPSCALER_FILE, UPSCALED, seed, shipped=shipped)
    yield Row("upscaler: decibels over Lanczos", gained, least=GAIN_TARGET)
    file = Catalogue(models).find(CONTROLNET, CONTROL_FILE, embedded=shipped)
    painter = ControlPainter(models, file, model)
    steered, alone = (float(np.mean(edge_agreement.agreements(painter, STEERED, weight))) for weight in (1.0, 0.0))
    yield Row("PyraCanny: edge F1", steered, least=edge_agreement.TARGET)
    yield Row("by the caption alone: edge F1", alone)
    before = 0.0
    for weight, share in colour_by_weight(PromptPainter(models, model), PROMPTED).items():
        yield Row(f"image prompt of red, weight {weight}: share of red", share, least=before)
        before = share
