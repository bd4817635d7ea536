"""JSON as text that passes through: read once, strictly; put together without reading again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn


def read(raw: bytes | str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is none; NaN and what becomes an infinity are none either.
    """
    try:
        return json.loads(raw, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def write(value: Any) -> str:
    """Compact ASCII text, so that a lone surrogate passes through as the client wrote it."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def joined(fields: Mapping[str, str]) -> str:
    """The object whose values are given as JSON texts."""
    return "{" + ",".join(f"{write(name)}:{text}" for name, text in fields.items()) + "}"


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
