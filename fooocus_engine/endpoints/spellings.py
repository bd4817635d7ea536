"""Old and foreign spellings of a field's value → today's, lists and objects written as text decoded. No torch.

Does not validate: text that cannot be decoded stays text, and the contract names the field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

VALUE_ALIASES: Mapping[tuple[str, str], str | None] = MappingProxyType(
    {
        ("meta_scheme", "a111"): "a1111",
        ("preset", "initial"): "default",
        ("refiner_model_name", ""): "None",
        ("base_model_name", "None"): None,
        ("sampler_name", "default_sampler"): None,
        ("scheduler_name", "default_scheduler"): None,
        ("image_type", "Photograph"): "Photo",
        ("image_type", "Art/Anime"): "Anime",
    }
)
"""(canonical field, old value) → today's value; ``None`` = as if the field were not given."""
EMPTY_IS_A_VALUE = frozenset(
    {
        "prompt", "negative_prompt", "style_selections", "save_name", "webhook_url",
        "enhance_prompt", "enhance_negative_prompt", "enhance_mask_dino_prompt",
    }
)  # fmt: skip
"""Any other field is not given when it is an empty string, as in forms (api.md §2.1)."""


def todays(name: str, value: Any) -> Any:
    """Today's spelling of a value, lists and objects decoded; ``None`` if the field counts as not given."""
    if isinstance(value, str):
        if (name, value) in VALUE_ALIASES and name != "image_type":
            return VALUE_ALIASES[name, value]
        if not value and name not in EMPTY_IS_A_VALUE:
            return None
    match name:
        case "style_selections" | "outpaint_selections":
            return _names(value)
        case "loras":
            return _entries(value, empty_is_a_value="model_name")
        case "image_prompts":
            return _entries(value)
        case "advanced_params":
            return decoded(value)
        case "image_type":
            return _types(value)
        case "enhance_ctrlnets":
            return _controls(value)
        case _:
            return value


def decoded(value: Any) -> Any:
    """JSON text as what it says; anything else, unreadable text included, as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # the latter: thousands of nested brackets
        return value


def _names(value: Any) -> Any:
    """A list of names from a list, a comma list or a JSON list, items trimmed, empty ones dropped."""
    if isinstance(value, str):
        if not value.lstrip().startswith("["):
            return [name.strip() for name in value.split(",") if name.strip()]
        value = decoded(value)
    if not isinstance(value, list | tuple):
        return value
    names: list[Any] = []
    for item in value:
        inner = _names(item) if isinstance(item, str) else item
        names.extend(inner if isinstance(item, str) and isinstance(inner, list) else [inner])
    return names


def _types(value: Any) -> Any:
    """A list of types from a list or a comma list, each in today's spelling."""
    names = _names(value)
    if not isinstance(names, list):
        return names
    return [VALUE_ALIASES.get(("image_type", name), name) if isinstance(name, str) else name for name in names]


def _controls(value: Any) -> Any:
    """A list of controls from a list or a JSON list; of each what is given."""
    value = decoded(value)
    return [_control(decoded(item)) for item in value] if isinstance(value, list | tuple) else value


def _control(entry: Any) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    today = {name: todays(name, value) for name, value in entry.items()}
    return {name: value for name, value in today.items() if value is not None}


def _entries(value: Any, empty_is_a_value: str = "") -> Any:
    """A list of objects from a list, a JSON list, or JSON objects one by one; what they leave empty is left out."""
    value = decoded(value)
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    return [_entry(decoded(item), empty_is_a_value) for item in value]


def _entry(entry: Any, empty_is_a_value: str) -> Any:
    if not isinstance(entry, Mapping):
        return entry
    return {name: value for name, value in entry.items() if name == empty_is_a_value or value not in (None, "")}
