"""Settings of one process: frozen, validated, built once. The only file that reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from fooocus_engine.errors import EngineError

DEVICES = ("auto", "cpu", "cuda", "mps")
IMAGE_PROMPT_ATTENTIONS = ("joint", "separate")
DTYPES = ("auto", "float32", "float16", "bfloat16")
MAX_SLOTS = 16


class BadSetting(EngineError):
    """An environment variable holds something that is not allowed; names it, its value and what is allowed."""


@dataclass(frozen=True)
class Settings:
    """Everything the process may be told from outside. Field comments name the environment variable."""

    models_dir: Path = Path("models")  # FOOOCUS_MODELS_DIR
    outputs_dir: Path = Path("outputs")  # FOOOCUS_OUTPUTS_DIR
    device: str = "auto"  # FOOOCUS_DEVICE: auto = cuda if there is one, else cpu
    dtype: str = "auto"  # FOOOCUS_DTYPE: of the UNet; auto = float16 on cuda, float32 elsewhere
    preset: str = "default"  # FOOOCUS_PRESET: whose values are the request's defaults
    storage: str = "inline"  # FOOOCUS_STORAGE: inline (base64 in the reply) or folder
    slots: int = 2  # FOOOCUS_SLOTS: jobs taken at a time by one worker
    max_loras: int = 5  # FOOOCUS_MAX_LORAS: enabled LoRAs of one request
    preview: bool = True  # PREVIEW: off renders no step previews
    preview_interval_s: float = 1.0  # FOOOCUS_PREVIEW_INTERVAL: least time between two step previews
    # FOOOCUS_IMAGE_PROMPT_ATTENTION: joint = the reference's arithmetic, separate = IP-Adapter's own (THIRD_PARTY)
    image_prompt_attention: str = "joint"
    lora_weight_range: tuple[float, float] = field(default=(-2.0, 2.0))  # not from the environment (models.md §3)


def process_environment() -> Mapping[str, str]:
    """The variables of this process, as they are now."""
    return MappingProxyType(dict(os.environ))


def settings_from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from environment variables; an unset or empty one keeps its default.

    Raises:
        BadSetting: a variable holds a value that is not allowed.
    """
    env = os.environ if environment is None else environment
    default = Settings()
    return Settings(
        models_dir=Path(env.get("FOOOCUS_MODELS_DIR") or default.models_dir),
        outputs_dir=Path(env.get("FOOOCUS_OUTPUTS_DIR") or default.outputs_dir),
        device=_choice(env, "FOOOCUS_DEVICE", DEVICES, default.device),
        dtype=_choice(env, "FOOOCUS_DTYPE", DTYPES, default.dtype),
        preset=env.get("FOOOCUS_PRESET") or default.preset,
        storage=_choice(env, "FOOOCUS_STORAGE", ("inline", "folder"), default.storage),
        slots=_whole_number(env, "FOOOCUS_SLOTS", default.slots, (1, MAX_SLOTS)),
        max_loras=_whole_number(env, "FOOOCUS_MAX_LORAS", default.max_loras, (0, 100)),
        preview=_switch(env, "PREVIEW", default.preview),
        image_prompt_attention=_choice(
            env, "FOOOCUS_IMAGE_PROMPT_ATTENTION", IMAGE_PROMPT_ATTENTIONS, default.image_prompt_attention
        ),
        preview_interval_s=_number(env, "FOOOCUS_PREVIEW_INTERVAL", default.preview_interval_s, (0, 3600)),
    )


def _choice(env: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    value = (env.get(name) or default).lower()
    if value not in allowed:
        raise BadSetting(f"{name} is {value!r}; allowed: {', '.join(allowed)}")
    return value


def _number(env: Mapping[str, str], name: str, default: float, limits: tuple[float, float]) -> float:
    text = env.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not limits[0] <= value <= limits[1]:
        raise BadSetting(f"{name} is {text!r}; allowed: numbers from {limits[0]} to {limits[1]}")
    return value


def _whole_number(env: Mapping[str, str], name: str, default: int, limits: tuple[int, int]) -> int:
    value = _number(env, name, default, limits)
    if not value.is_integer():
        raise BadSetting(f"{name} is {env[name]!r}; allowed: whole numbers from {limits[0]} to {limits[1]}")
    return int(value)


def _switch(env: Mapping[str, str], name: str, default: bool) -> bool:
    text = (env.get(name) or ("on" if default else "off")).lower()
    if text in ("on", "true", "1", "yes"):
        return True
    if text in ("off", "false", "0", "no"):
        return False
    raise BadSetting(f"{name} is {text!r}; allowed: on, off")
