"""The facts of one picture, and the three ways they are written: log rows, `fooocus` JSON, `a1111` text.

Everything is handed in: hashes, the version, numbers as they were used. Knows nothing of files, requests or
pictures; reading a text back is `recall.py`, putting it into a picture is `encode.py`.

    python -m fooocus_engine.output.metadata FILE

prints the request that a picture records.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fooocus_engine.errors import EngineError
from fooocus_engine.output import a1111
from fooocus_engine.output.encode import read_metadata
from fooocus_engine.output.recall import request_fields
from fooocus_engine.types import MODEL_VAE

Value = str | int | float  # bool included: the scheme of a picture without metadata is logged as False
Entry = tuple[str, str, Value]  # label, key, value
USUAL_ADAPTIVE_CFG = 7.0  # the one value that is not recorded (image-metadata.md §1)
FAST_UPSCALE_ROWS = (("Upscale (Fast)", "upscale_fast", "2x"),)
"""All that is logged of an upscale without diffusion; nothing is embedded in its picture."""


@dataclass(frozen=True)
class LoraFact:
    """A LoRA that was applied: file name relative to its folder, strength, first ten hex digits of its SHA-256."""

    name: str
    weight: float
    hash: str = ""


@dataclass(frozen=True)
class ImageFacts:
    """What image-metadata.md §1 records of one picture, after every forced or overwritten value."""

    prompt: str
    """Main prompt and extra lines, wildcards and arrays resolved, joined by newlines."""
    negative_prompt: str
    full_prompt: tuple[str, ...]
    """Every positive text that was encoded, the expansion last."""
    full_negative_prompt: tuple[str, ...]
    expansion: str
    styles: tuple[str, ...]
    performance: str
    steps: int
    size: tuple[int, int]
    """(width, height) of the canvas in pixels."""
    guidance_scale: float
    sharpness: float
    adm_guidance: tuple[float, float, float]
    """Positive, negative, end."""
    base_model: str
    refiner_switch: float
    adaptive_cfg: float
    clip_skip: int
    sampler: str
    scheduler: str
    seed: int
    version: str
    base_model_hash: str = ""
    refiner_model: str | None = None
    refiner_model_hash: str = ""
    refiner_swap_method: str = "joint"
    overwrite_switch: float = -1
    """As requested: a step index from 1, a share below; 0 or less = not given."""
    vae: str | None = None
    """``None`` = the base checkpoint's own."""
    freeu: tuple[float, float, float, float] | None = None
    """b1, b2, s1, s2; ``None`` = off."""
    loras: tuple[LoraFact, ...] = ()
    """In order of application, those of the prompt and of the performance mode included."""
    scheme: str | None = None
    """``fooocus`` or ``a1111``; ``None`` = nothing is embedded."""


def entries(facts: ImageFacts) -> list[Entry]:
    """Label, key and value of everything recorded, in the order of image-metadata.md §1."""
    return [
        ("Prompt", "prompt", facts.prompt),
        ("Negative Prompt", "negative_prompt", facts.negative_prompt),
        ("Fooocus V2 Expansion", "prompt_expansion", facts.expansion),
        ("Styles", "styles", str(list(facts.styles))),
        ("Performance", "performance", facts.performance),
        ("Steps", "steps", facts.steps),
        ("Resolution", "resolution", str(facts.size)),
        ("Guidance Scale", "guidance_scale", facts.guidance_scale),
        ("Sharpness", "sharpness", facts.sharpness),
        ("ADM Guidance", "adm_guidance", str(facts.adm_guidance)),
        ("Base Model", "base_model", facts.base_model),
        ("Refiner Model", "refiner_model", facts.refiner_model or "None"),
        ("Refiner Switch", "refiner_switch", facts.refiner_switch),
        *_refiner_entries(facts),
        *_when(facts.adaptive_cfg != USUAL_ADAPTIVE_CFG, _adaptive_cfg(facts)),
        *_when(facts.clip_skip > 1, ("CLIP Skip", "clip_skip", facts.clip_skip)),
        ("Sampler", "sampler", facts.sampler),
        ("Scheduler", "scheduler", facts.scheduler),
        ("VAE", "vae", facts.vae or MODEL_VAE),
        ("Seed", "seed", str(facts.seed)),
        *_when(facts.freeu is not None, ("FreeU", "freeu", str(facts.freeu))),
        *((f"LoRA {n}", f"lora_combined_{n}", f"{x.name} : {x.weight}") for n, x in enumerate(facts.loras, start=1)),
        ("Metadata Scheme", "metadata_scheme", facts.scheme or False),
        ("Version", "version", facts.version),
    ]


def log_rows(facts: ImageFacts) -> list[tuple[str, str, str]]:
    """The entries as the image log shows them: every value as text."""
    return [(label, key, str(value)) for label, key, value in entries(facts)]


def embedded_text(facts: ImageFacts) -> str | None:
    """The text to put into the picture, in the scheme of the facts; ``None`` if nothing is to be embedded."""
    match facts.scheme:
        case "fooocus":
            return fooocus_text(facts)
        case "a1111":
            return a1111_text(facts)
        case _:
            return None


def fooocus_text(facts: ImageFacts) -> str:
    """The facts as JSON: keys sorted, ASCII only, file names reduced to their stems (image-metadata.md §2)."""
    record: dict[str, object] = {key: value for _, key, value in entries(facts)}
    record |= {
        "base_model": _stem(facts.base_model),
        "base_model_hash": facts.base_model_hash,
        "full_prompt": facts.full_prompt,
        "full_negative_prompt": facts.full_negative_prompt,
        "loras": [[_stem(lora.name), lora.weight, lora.hash] for lora in facts.loras],
        "vae": _stem(facts.vae or MODEL_VAE),
    }
    record |= {f"lora_combined_{n}": f"{_stem(x.name)} : {x.weight}" for n, x in enumerate(facts.loras, start=1)}
    if facts.refiner_model:
        record |= {"refiner_model": _stem(facts.refiner_model), "refiner_model_hash": facts.refiner_model_hash}
    return json.dumps(record, sort_keys=True)


def a1111_text(facts: ImageFacts) -> str:
    """The facts as prompt, negative prompt and one line of parameters (image-metadata.md §3)."""
    return a1111.text(facts.full_prompt, facts.full_negative_prompt, _a1111_parameters(facts))


def _a1111_parameters(facts: ImageFacts) -> list[tuple[str, object]]:
    recorded = {key: value for _, key, value in entries(facts)}
    optional = (
        ("Adaptive CFG", "adaptive_cfg"),
        ("Clip skip", "clip_skip"),
        ("Overwrite Switch", "overwrite_switch"),
        ("Refiner Swap Method", "refiner_swap_method"),
        ("FreeU", "freeu"),
    )
    refiner = [("Refiner", _stem(facts.refiner_model or "")), ("Refiner hash", facts.refiner_model_hash)]
    loras = [
        ("Lora hashes", ", ".join(f"{_stem(lora.name)}: {lora.hash}" for lora in facts.loras)),
        ("Lora weights", ", ".join(f"{_stem(lora.name)}: {lora.weight}" for lora in facts.loras)),
    ]
    return [
        ("Steps", facts.steps),
        ("Sampler", a1111.sampler_label(facts.sampler, facts.scheduler)),
        ("Seed", facts.seed),
        ("Size", f"{facts.size[0]}x{facts.size[1]}"),
        ("CFG scale", facts.guidance_scale),
        ("Sharpness", facts.sharpness),
        ("ADM Guidance", facts.adm_guidance),
        ("Model", _stem(facts.base_model)),
        ("Model hash", facts.base_model_hash),
        ("Performance", facts.performance),
        ("Scheduler", facts.scheduler),
        ("VAE", _stem(facts.vae or MODEL_VAE)),
        ("Raw prompt", facts.prompt),
        ("Raw negative prompt", facts.negative_prompt),
        *(refiner if facts.refiner_model else ()),
        *((label, recorded[key]) for label, key in optional if key in recorded),
        *(loras if facts.loras else ()),
        ("Version", facts.version),
    ]


def _refiner_entries(facts: ImageFacts) -> list[Entry]:
    if not facts.refiner_model:
        return []
    switch = facts.overwrite_switch
    index: Value = int(switch) if float(switch).is_integer() else switch  # 4.0 names step 4
    swap = facts.refiner_swap_method
    return [
        *_when(switch > 0, ("Overwrite Switch", "overwrite_switch", index)),
        *_when(swap != "joint", ("Refiner Swap Method", "refiner_swap_method", swap)),
    ]


def _adaptive_cfg(facts: ImageFacts) -> Entry:
    return ("CFG Mimicking from TSNR", "adaptive_cfg", facts.adaptive_cfg)


def _when(recorded: bool, entry: Entry) -> tuple[Entry, ...]:
    return (entry,) if recorded else ()


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the request recorded in a picture as JSON. Exit status 1 if there is none to be read."""
    parser = argparse.ArgumentParser(description="Print the request that a picture records, as JSON.")
    parser.add_argument("file", type=Path, metavar="FILE")
    try:
        embedded = read_metadata(parser.parse_args(arguments).file.read_bytes())
        request = request_fields(embedded.scheme, embedded.text) if embedded else None
    except (OSError, EngineError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if request is None:
        sys.stderr.write("the picture carries no metadata\n")
        return 1
    if "style_selections" not in request:
        sys.stderr.write("the styles cannot be told from the text alone; the endpoint read-metadata knows them\n")
    sys.stdout.write(json.dumps(request, indent=2, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
