"""Stages to sample with: the tiny model on recorded texts, and a fake network that remembers what it was told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.sampling.unet_denoiser import Stage
from fooocus_engine.types import Conditioning
from tests.models.tiny import tiny_model


@dataclass
class FakeUNet:
    """Answers every latent with ``factor`` times itself."""

    factor: float = 0.5
    calls: list[dict[str, Any]] = field(default_factory=list)

    def __call__(self, x: Tensor, timestep: Tensor, **told: Any) -> tuple[Tensor]:
        self.calls.append({"x": x, "timestep": timestep, **told})
        return (x * self.factor,)


def fake_model(family: str = "sdxl", *, factor: float = 0.5, dtype: torch.dtype = torch.float32) -> DiffusionModel:
    return replace(tiny_model(), unet=FakeUNet(factor), family=family, dtype=dtype)


def text(chunks: int = 1, value: float = 1.0, *, until: float = 0.3) -> Conditioning:
    early, late = torch.full((1, 6), 100 + value), torch.full((1, 6), 200 + value)
    return Conditioning(torch.full((1, 77 * chunks, 8), value), torch.full((1, 4), value), early, late, until)


def fake_stage(model: DiffusionModel | None = None, *, positive: int = 1, negative: int = 1) -> Stage:
    """A stage with texts of so many chunks; positive rows hold 1, negative ones −1."""
    return Stage(model or fake_model(), text(positive, 1.0), text(negative, -1.0))


def recorded_stage(settings: dict[str, Any], texts: dict[str, Tensor], size: tuple[int, int]) -> Stage:
    """The tiny model on recorded texts, with size numbers as sampling.md §7.3 makes them."""

    def conditioning(name: str, scale: float) -> Conditioning:
        width, height = size
        consistent = [round(height / 64) * 64, round(width / 64) * 64]
        claimed = [int(height * scale), int(width * scale)]
        early, late = (
            torch.tensor([[*first, 0, 0, *consistent]], dtype=torch.float32) for first in (claimed, consistent)
        )
        return Conditioning(texts[name], texts[f"{name}_pooled"], early, late, settings["adm_end"])

    return Stage(
        tiny_model(),
        conditioning("cond", settings["adm_positive"]),
        conditioning("uncond", settings["adm_negative"]),
    )
