"""Reads a picture's metadata text back into the request that made it, in the canonical field names of api.md §2.

Gives plain values that a contract still has to check. File names were recorded as stems: they are looked up in
`Known`, and stay stems where it holds nothing. Knows no pictures and no models folder.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from fooocus_engine.errors import InvalidRequest, Location, Problem
from fooocus_engine.output import a1111

EXPANSION_STYLE = "Fooocus V2"
PERFORMANCE_LORAS = {
    "Extreme Speed": "sdxl_lcm_lora.safetensors",
    "Lightning": "sdxl_lightning_4step_lora.safetensors",
    "Hyper-SD": "sdxl_hyper_sd_4step_lora.safetensors",
}  # api.md §3.1: the server adds them again, so they are no part of the request
A1111_KEYS = {
    "Steps": "steps",
    "Seed": "seed",
    "CFG scale": "guidance_scale",
    "Sharpness": "sharpness",
    "ADM Guidance": "adm_guidance",
    "Model": "base_model",
    "Performance": "performance",
    "Scheduler": "scheduler",
    "VAE": "vae",
    "Refiner": "refiner_model",
    "Adaptive CFG": "adaptive_cfg",
    "Clip skip": "clip_skip",
    "Overwrite Switch": "overwrite_switch",
    "Refiner Swap Method": "refiner_swap_method",
    "FreeU": "freeu",
}
_WEIGHT = re.compile(r"(.+?): ([-+.\de]+)(?:, |$)")
_COMBINED = re.compile(r"lora_combined_(\d+)")

Record = dict[str, Any]  # keys of image-metadata.md §1


@dataclass(frozen=True)
class Known:
    """What names are looked up in; each part may be empty."""

    checkpoints: Sequence[str] = ()
    loras: Sequence[str] = ()
    vaes: Sequence[str] = ()
    styles: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Name → positive and negative text, to tell the styles of an `a1111` text, which does not name them."""


NOTHING_KNOWN = Known()


def request_fields(
    scheme: str, text: str, known: Known = NOTHING_KNOWN, *, loc: Location = ("body", "image")
) -> dict[str, Any]:
    """The request that a metadata text records; what the text does not tell is left out.

    Raises:
        InvalidRequest: the text is not of its scheme, or a value in it cannot be read; carries ``loc``.
    """
    try:
        record = _fooocus_record(text) if scheme == "fooocus" else _a1111_record(text, known)
        return {**_request(record, known), "save_meta": True, "meta_scheme": scheme}
    except (ValueError, TypeError, SyntaxError, OverflowError, MemoryError, RecursionError) as error:
        message = f"the {scheme} metadata of the picture cannot be read"
        raise InvalidRequest([Problem("metadata_error", loc, message, text)]) from error


def _fooocus_record(text: str) -> Record:
    record = json.loads(text)
    if not isinstance(record, dict):
        raise TypeError("not a JSON object")
    numbered = sorted((int(m[1]), value) for key, value in record.items() if (m := _COMBINED.fullmatch(key)))
    pairs = [str(value).rpartition(" : ") for _, value in numbered]
    return {**record, "loras": [(stem, float(weight)) for stem, _, weight in pairs]}


def _a1111_record(text: str, known: Known) -> Record:
    parsed = a1111.parse(text)
    given = parsed.parameters
    record: Record = {ours: given[theirs] for theirs, ours in A1111_KEYS.items() if theirs in given}
    record["prompt"] = given.get("Raw prompt", parsed.positive)
    record["negative_prompt"] = given.get("Raw negative prompt", parsed.negative)
    record.setdefault("refiner_model", "None")
    record["loras"] = [(m[1], float(m[2])) for m in _WEIGHT.finditer(given.get("Lora weights", ""))]
    if size := given.get("Size"):
        record["resolution"] = f"({size.replace('x', ', ')})"
    if label := given.get("Sampler"):
        record["sampler"] = a1111.sampler_name(label)
        if label.endswith(a1111.KARRAS):
            record.setdefault("scheduler", "karras")
    styles = _styles(parsed, record, known.styles)
    return record if styles is None else {**record, "styles": str(styles)}


def _styles(parsed: a1111.Parsed, record: Record, known: Mapping[str, tuple[str, str]]) -> list[str] | None:
    """Names of the styles whose texts occur in the resolved prompts, in order; ``None`` if that cannot be told."""
    first, *extra = record["prompt"].split("\n")
    if not known:
        plain = [", ".join(record[key].split("\n")) for key in ("prompt", "negative_prompt")]
        return [] if plain == [parsed.positive, parsed.negative] else None
    positive, negative = parsed.positive, parsed.negative
    found: list[tuple[int, str]] = []
    filled = False
    for name, (theirs, against) in sorted(known.items(), key=lambda item: -len("".join(item[1]))):
        wanted = theirs.replace("{prompt}", first)
        if (wanted or against) and wanted in positive and against in negative:
            found.append((parsed.negative.find(against) if against else parsed.positive.find(wanted), name))
            positive, negative = positive.replace(wanted, "", 1), negative.replace(against, "", 1)
            filled = filled or "{prompt}" in theirs
    for line in extra if filled else [first, *extra]:
        positive = positive.replace(line, "", 1)
    names = [name for _, name in sorted(found)]
    return [EXPANSION_STYLE, *names] if positive.strip(" ,") else names


def _request(record: Record, known: Known) -> dict[str, Any]:
    request = _converted(record, _TOP)
    advanced = _converted(record, _ADVANCED)
    advanced.setdefault("clip_skip", 1)  # recorded only above 1
    if "adm_guidance" in record:
        scalers = ("adm_scaler_positive", "adm_scaler_negative", "adm_scaler_end")
        advanced |= dict(zip(scalers, _numbers(record["adm_guidance"]), strict=True))
    if "freeu" in record:
        factors = ("freeu_b1", "freeu_b2", "freeu_s1", "freeu_s2")
        advanced |= {"freeu_enabled": True, **dict(zip(factors, _numbers(record["freeu"]), strict=True))}
    for fields, name, files in (
        (request, "base_model_name", known.checkpoints),
        (request, "refiner_model_name", known.checkpoints),
        (advanced, "vae_name", known.vaes),
    ):
        if name in fields:
            fields[name] = _file(fields[name], files)
    request["loras"] = [
        {"enabled": True, "model_name": _file(stem, known.loras), "weight": weight}
        for stem, weight in _asked_loras(record)
    ]
    request["advanced_params"] = advanced
    return request


def _asked_loras(record: Record) -> list[tuple[str, float]]:
    """The recorded LoRAs without the one that the performance mode adds, which is the last of its name."""
    loras = list(record["loras"])
    added = PERFORMANCE_LORAS.get(str(record.get("performance")), "")
    last = max((i for i, (stem, _) in enumerate(loras) if stem == PurePosixPath(added).stem), default=None)
    return [lora for i, lora in enumerate(loras) if i != last]


def _file(stem: str, files: Sequence[str]) -> str:
    return next((name for name in files if PurePosixPath(name).stem == stem), stem)


Conversion = tuple[str, str, Callable[[Any], Any]]  # recorded key, request field, how its value is read


def _converted(record: Record, table: Sequence[Conversion]) -> dict[str, Any]:
    return {name: convert(record[key]) for key, name, convert in table if key in record}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"not a text: {type(value).__name__}")
    return value


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number


def _numbers(value: Any) -> list[float]:
    return [_number(part) for part in _text(value).strip("()[] ").split(",")]


def _names(value: Any) -> list[str]:
    return [_text(name) for name in ast.literal_eval(_text(value))]


def _aspect(value: Any) -> str:
    width, height = (int(number) for number in _numbers(value))
    return f"{width}*{height}"


_TOP: tuple[Conversion, ...] = (
    ("prompt", "prompt", _text),
    ("negative_prompt", "negative_prompt", _text),
    ("styles", "style_selections", _names),
    ("performance", "performance_selection", _text),
    ("resolution", "aspect_ratios_selection", _aspect),
    ("seed", "image_seed", int),
    ("guidance_scale", "guidance_scale", _number),
    ("sharpness", "sharpness", _number),
    ("base_model", "base_model_name", _text),
    ("refiner_model", "refiner_model_name", _text),
    ("refiner_switch", "refiner_switch", _number),
)
_ADVANCED: tuple[Conversion, ...] = (
    ("steps", "overwrite_step", int),
    ("overwrite_switch", "overwrite_switch", _number),
    ("refiner_swap_method", "refiner_swap_method", _text),
    ("adaptive_cfg", "adaptive_cfg", _number),
    ("clip_skip", "clip_skip", int),
    ("sampler", "sampler_name", _text),
    ("scheduler", "scheduler_name", _text),
    ("vae", "vae_name", _text),
)
