"""The grammar of the `a1111` text: prompts, then one line of `Key: value` pairs; and its names of samplers.

Turns pairs into text and text into pairs. Knows no facts, no request fields and no pictures.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

SAMPLER_LABELS = {
    "euler": "Euler",
    "euler_ancestral": "Euler a",
    "heun": "Heun",
    "dpm_2": "DPM2",
    "dpm_2_ancestral": "DPM2 a",
    "lms": "LMS",
    "dpm_fast": "DPM fast",
    "dpm_adaptive": "DPM adaptive",
    "dpmpp_2s_ancestral": "DPM++ 2S a",
    "dpmpp_sde": "DPM++ SDE",
    "dpmpp_sde_gpu": "DPM++ SDE",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpmpp_2m_sde_gpu": "DPM++ 2M SDE",
    "lcm": "LCM",
    "tcd": "TCD",
    "restart": "Restart",
    "ddim": "DDIM",
    "uni_pc": "UniPC",
}  # image-metadata.md §3; other samplers keep their own name
SAMPLERS_BY_LABEL = {label: name for name, label in SAMPLER_LABELS.items()}  # of two with one label the `_gpu` one
KARRAS = " Karras"
NEGATIVE = "Negative prompt:"
FEWEST_PAIRS = 3  # of a last line that counts as parameters
_KEY = re.compile(r'\s*([^:,"]+): ?')


@dataclass(frozen=True)
class Parsed:
    """A text taken apart. ``positive`` and ``negative`` are the joined texts as written."""

    positive: str
    negative: str
    parameters: dict[str, str] = field(default_factory=dict)


def text(positive: Sequence[str], negative: Sequence[str], parameters: Iterable[tuple[str, object]]) -> str:
    """All positive texts on a line, the negative ones on a second if there are any, the parameters on the last."""
    lines = [", ".join(positive)]
    if joined := ", ".join(negative):
        lines.append(f"{NEGATIVE} {joined}")
    lines.append(", ".join(f"{key}: {_quoted(str(value))}" for key, value in parameters))
    return "\n".join(lines).strip()


def parse(written: str) -> Parsed:
    """The parts of a text; a last line of fewer than three pairs belongs to the prompts."""
    lines = written.strip().split("\n")
    parameters = _parameters(lines[-1])
    if len(parameters) < FEWEST_PAIRS:
        parameters = {}
    else:
        lines.pop()
    split = next((i for i, line in enumerate(lines) if line.startswith(NEGATIVE)), len(lines))
    negative = "\n".join(lines[split:]).removeprefix(NEGATIVE)
    return Parsed("\n".join(lines[:split]).strip(), negative.strip(), parameters)


def sampler_label(sampler: str, scheduler: str) -> str:
    """The name this format knows a sampler by; names it does not know stay as they are, without a suffix."""
    label = SAMPLER_LABELS.get(sampler)
    if label is None:
        return sampler
    return label + KARRAS if scheduler == "karras" else label


def sampler_name(label: str) -> str:
    """The sampler of a label, with or without the suffix; an unknown label is returned as it is."""
    plain = label.removesuffix(KARRAS)
    return SAMPLERS_BY_LABEL.get(plain, plain)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False) if _needs_quotes(value) else value


def _needs_quotes(value: str) -> bool:
    return any(mark in value for mark in ",\n:")


def _parameters(line: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while key := _KEY.match(line, at):
        value, at = _value(line, key.end())
        found[key[1].strip()] = value
    return found


def _value(line: str, start: int) -> tuple[str, int]:
    """The value that begins at ``start`` and where the next key begins."""
    if line.startswith('"', start):
        try:
            value, end = json.JSONDecoder().raw_decode(line, start)
        except ValueError:
            value, end = "", start
        # a writer quotes only what needs it: other quotation marks are the value's own
        if line[end : end + 1] in ("", ",") and _needs_quotes(value):
            return value, end + 1
    end = line.find(",", start)
    end = len(line) if end < 0 else end
    return line[start:end], end + 1
