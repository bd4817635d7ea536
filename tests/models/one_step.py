"""One UNet evaluation as the E recordings made it: x = noise·sigma, positive and negative estimate, no guidance.

Knows the tiny model and the ``common`` record; needs no other room than ``models``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from fooocus_engine.models.diffusion_model import DiffusionModel
from fooocus_engine.models.families import load_base
from fooocus_engine.models.families.checkpoint import Target
from tests.golden.records import OWN_RECORDS, Group
from tests.models.tiny import CHECKPOINT

LORAS = OWN_RECORDS / "tiny" / "loras"
PATCHES = OWN_RECORDS / "tiny" / "adapters"
TOLERANCE = 1e-5  # of the largest value; the group's table allows 1e-4 (records/README.md)


def features() -> Group:
    return _group("E_unet_features")


@cache
def _group(name: str) -> Group:
    return Group(OWN_RECORDS / f"{name}.json")


def tiny_model() -> DiffusionModel:
    """A fresh tiny model, all in float32, as the recordings were made."""
    target = Target(torch.device("cpu"), torch.float32, text_dtype=torch.float32)
    return load_base(CHECKPOINT, target, tokenizer=Path("unused"))


@dataclass(frozen=True)
class Size:
    """What the size numbers of sampling.md §7.3 are made from."""

    width: int
    height: int
    scale: float
    """Of the emphasised size: 1.5 for positive, 0.8 for negative."""
    early: float
    """Share of the schedule with the emphasised size."""

    def numbers(self, t: int) -> Tensor:
        w, h = round(self.width / 64) * 64, round(self.height / 64) * 64
        large = (int(self.height * self.scale), int(self.width * self.scale))
        top = large if t > 999 * (1 - self.early) else (h, w)
        return torch.tensor([[*top, 0, 0, h, w]], dtype=torch.float32)


@torch.no_grad()
def estimates(model: DiffusionModel, sigma: float, positive_pooled: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Positive and negative x0 ``[1, 4, 24, 16]`` at ``sigma``; texts are encoded by ``model``."""
    common = features().record("common")
    settings, patch = common.settings, common.settings["patch"]
    t = timestep(sigma)
    pooled = common.input("cond_pooled") if positive_pooled is None else positive_pooled
    x = common.input("noise") * sigma

    def x0(texts: list[str], pooled: Tensor, scale: float) -> Tensor:
        size = Size(settings["width"], settings["height"], scale, patch["adm_scaler_end"])
        eps: Tensor = model.unet(
            x / (sigma**2 + 1) ** 0.5,
            torch.tensor([float(t)]),
            encoder_hidden_states=torch.cat([encoded(model, text)[0] for text in texts], dim=1),
            added_cond_kwargs={"text_embeds": pooled, "time_ids": size.numbers(t)},
        ).sample
        return x - sigma * eps

    (negative,) = settings["negative"]
    return (
        x0(settings["positive"], pooled, patch["positive_adm_scale"]),
        x0([negative], encoded(model, negative)[1], patch["negative_adm_scale"]),
    )


def encoded(model: DiffusionModel, text: str) -> tuple[Tensor, Tensor]:
    """Cross-attention ``[1, 77, C]`` and pooled vector of a short text without emphasis, clip skip 2."""
    assert model.text is not None
    hidden, pooled = [], torch.zeros(0)
    for encoder in (model.text.clip_l, model.text.clip_g):
        assert encoder is not None
        ids = [encoder.start_id, *(i for word in encoder.words(text) for i in word), encoder.end_id]
        ids += [encoder.pad_id] * (77 - len(ids))
        states, pooled = encoder.encode(torch.tensor([ids]), None, 2)
        hidden.append(states)
    return torch.cat(hidden, dim=-1), pooled


def timestep(sigma: float) -> int:
    """The nearest step of the discrete schedule, by log sigma (sampling.md §1.1)."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, dim=0)
    table = ((1 - alphas) / alphas).sqrt().log()
    return int((table - torch.tensor(sigma, dtype=torch.float64).log()).abs().argmin())


def error(got: Tensor, recorded: Tensor) -> float:
    """Largest difference over the largest recorded value."""
    return float((got - recorded).abs().max() / recorded.abs().max())
