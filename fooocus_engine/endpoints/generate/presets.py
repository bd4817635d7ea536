"""Presets: named sets of default values for a request (models.md §3). The values lie in ``presets.json``.

The file spells the preset ``default`` in full; every other one lists what differs from it. Knows which fields of a
request a preset decides; not what the fields mean, nor which model files are installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from fooocus_engine.endpoints.generate.performance import Performance
from fooocus_engine.errors import Location, UnknownName
from fooocus_engine.types import Weighted

NO_MODEL = "None"
"""Wire name of an empty model slot."""
_ADVANCED = {"advanced": True}


@dataclass(frozen=True)
class Preset:
    """The defaults of one preset, under the wire names of the fields they fill."""

    name: str = field(metadata={"wire": False})
    base_model_name: str
    previous_default_models: tuple[str, ...] = field(metadata={"wire": False})
    """Older default checkpoints: accepted as names of this one, and used in its place when only they are installed."""
    refiner_model_name: str
    refiner_switch: float
    loras: tuple[Weighted, ...]
    guidance_scale: float
    sharpness: float
    performance_selection: Performance
    style_selections: tuple[str, ...]
    aspect_ratios_selection: str
    prompt: str
    negative_prompt: str
    sampler_name: str = field(metadata=_ADVANCED)
    scheduler_name: str = field(metadata=_ADVANCED)
    adaptive_cfg: float = field(metadata=_ADVANCED)
    clip_skip: int = field(metadata=_ADVANCED)
    overwrite_step: int = field(metadata=_ADVANCED)
    vae_name: str = field(metadata=_ADVANCED)
    inpaint_engine: str = field(metadata=_ADVANCED)

    def request_defaults(self) -> dict[str, Any]:
        """Values of the request's top-level fields; ``loras`` as ``(name, weight)`` pairs."""
        own = [f for f in fields(self) if f.metadata.get("wire", True) and not f.metadata.get("advanced")]
        return {f.name: getattr(self, f.name) for f in own}

    def advanced_defaults(self) -> dict[str, Any]:
        """Values of the fields of ``advanced_params``."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata.get("advanced")}


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by name, in the order of the file. Read once."""
    text = resources.files(__package__).joinpath("presets.json").read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = json.loads(text)
    return MappingProxyType({name: _preset(name, {**rows["default"], **row}) for name, row in rows.items()})


def preset_named(name: str, loc: Location = ("body", "preset")) -> Preset:
    """The preset of that name.

    Raises:
        UnknownName: there is none; lists near matches.
    """
    known = presets()
    if name not in known:
        raise UnknownName("preset", name, known, loc)
    return known[name]


def _preset(name: str, row: dict[str, Any]) -> Preset:
    return Preset(
        name,
        **{
            **row,
            "previous_default_models": tuple(row["previous_default_models"]),
            "loras": tuple((lora, float(weight)) for lora, weight in row["loras"]),
            "performance_selection": Performance(row["performance_selection"]),
            "style_selections": tuple(row["style_selections"]),
        },
    )
