"""Performance modes: how many steps each takes, which LoRA it adds and which settings it forces (sampling.md §12).

Plain data, no torch. Knows neither requests nor plans; the planner applies a mode.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from fooocus_engine.output.recall import PERFORMANCE_LORAS
from fooocus_engine.sampling.settings import GuidanceSettings
from fooocus_engine.types import Weighted


class Performance(StrEnum):
    """The wire values of ``performance_selection``."""

    QUALITY = "Quality"
    SPEED = "Speed"
    EXTREME_SPEED = "Extreme Speed"
    LIGHTNING = "Lightning"
    HYPER_SD = "Hyper-SD"


NO_GUIDANCE = GuidanceSettings(
    cfg=1.0, sharpness=0.0, adaptive_cfg=1.0, adm_positive=1.0, adm_negative=1.0, adm_end=0.0
)
"""What distilled models are trained without."""


@dataclass(frozen=True)
class Forced:
    """Settings that a distilled mode imposes whatever the request says. Such a mode also runs without a refiner."""

    name: str
    """What status texts call its components."""
    sampler: str
    scheduler: str
    refiner_switch: float = 1.0
    guidance: GuidanceSettings = NO_GUIDANCE


@dataclass(frozen=True)
class Mode:
    """What a performance mode means."""

    steps: int
    upscale_steps: int
    """Steps of ``Upscale (1.5x)``, ``(2x)`` and ``(Custom)``; ``Vary`` takes ``steps``."""
    lora: Weighted | None = None
    """File and strength, applied after the request's own LoRAs and not counted against their limit."""
    forced: Forced | None = None


def _distilled(performance: Performance, steps: int, strength: float, forced: Forced) -> Mode:
    return Mode(steps, steps, (PERFORMANCE_LORAS[performance], strength), forced)


MODES: Mapping[Performance, Mode] = MappingProxyType(
    {
        Performance.QUALITY: Mode(60, 36),
        Performance.SPEED: Mode(30, 18),
        Performance.EXTREME_SPEED: _distilled(Performance.EXTREME_SPEED, 8, 1.0, Forced("LCM", "lcm", "lcm")),
        Performance.LIGHTNING: _distilled(Performance.LIGHTNING, 4, 1.0, Forced("Lightning", "euler", "sgm_uniform")),
        Performance.HYPER_SD: _distilled(Performance.HYPER_SD, 4, 0.8, Forced("Hyper-SD", "dpmpp_sde_gpu", "karras")),
    }
)
