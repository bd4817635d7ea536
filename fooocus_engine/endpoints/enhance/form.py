"""Controls of an enhancement as forms spell them: fields with a number behind their names (api.md §2.10). No torch.

``dialects.py`` makes of them the list that JSON has; problems are told at the fields of the form.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from fooocus_engine.endpoints.enhance.contract import MOST_CONTROLS, EnhanceControl
from fooocus_engine.errors import Location

CONTROLS = "enhance_ctrlnets"
FIELDS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {f"{name}_{number + 1}": (number, name) for name in EnhanceControl.model_fields for number in range(MOST_CONTROLS)}
)
"""Field of a form → which control it belongs to, and its name there."""
PLACES: Mapping[Location, Location] = MappingProxyType(
    {("body", CONTROLS, number, name): ("body", spelt) for spelt, (number, name) in FIELDS.items()}
)
"""Where a problem is in the list → where it is in the form."""
DEFAULTS: Mapping[str, str] = MappingProxyType({"enhance_mask_dino_prompt": ""})
"""What a control says without a word in a form, where that differs from JSON."""


def in_form(given: Mapping[str, Any], model: type[BaseModel]) -> bool:
    """Whether ``given`` spells its controls one by one: the list is not there, and ``model`` takes it."""
    takes = CONTROLS in model.model_fields
    return takes and given.get(CONTROLS) in (None, "") and any(name in FIELDS for name in given)


def as_list(given: Mapping[str, Any]) -> dict[str, Any]:
    """``given`` with its controls as a list."""
    controls = [dict[str, Any](DEFAULTS) for _ in range(MOST_CONTROLS)]
    for spelt, value in given.items():
        if spelt in FIELDS and value is not None:
            number, name = FIELDS[spelt]
            controls[number][name] = value
    return {name: value for name, value in given.items() if name not in FIELDS} | {CONTROLS: controls}
