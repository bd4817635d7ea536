"""Facts of the recorded requests, built from their settings and from what the engine resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fooocus_engine.output.metadata import ImageFacts, LoraFact

RECORDS = Path(__file__).parents[1] / "golden" / "records"
VERSION = "Fooocus v2.5.5"
STEPS = {"Quality": 60, "Speed": 30, "Extreme Speed": 8, "Lightning": 4, "Hyper-SD": 4}
FEW_STEP = {
    "Extreme Speed": ("sdxl_lcm_lora.safetensors", 1.0, "lcm", "lcm"),
    "Lightning": ("sdxl_lightning_4step_lora.safetensors", 1.0, "euler", "sgm_uniform"),
    "Hyper-SD": ("sdxl_hyper_sd_4step_lora.safetensors", 0.8, "dpmpp_sde_gpu", "karras"),
}  # api.md §3.1
FORCED = {"cfg": 1.0, "sharpness": 0.0, "adm_p": 1.0, "adm_n": 1.0, "adm_end": 0.0, "adaptive_cfg": 1.0}
HASHES = {"tiny_sdxl.safetensors": "f0ecdaded2", "tiny_small.safetensors": "dcd12ef984"}
PROMPT_LORAS = {"tiny_loha": ("tiny_loha.safetensors", -0.5)}


@dataclass(frozen=True)
class RecordedImage:
    name: str
    facts: ImageFacts
    log: list[list[str]]
    metadata: str | None


def recorded_images() -> Iterator[RecordedImage]:
    """Every logged image of a diffusion in the H recordings."""
    for group in ("H1_text2img", "H2_samplers", "H3_image_inputs", "H4_extra"):
        content = json.loads((RECORDS / f"{group}.json").read_text(encoding="utf-8"))
        for record in content["records"]:
            for index, log in enumerate(record["data"]["log"]):
                if len(log) > 1:
                    yield _image(f"{group}/{record['id']}/{index}", record, log, index)


def defaults() -> dict[str, Any]:
    return json.loads((RECORDS / "H4_extra.json").read_text(encoding="utf-8"))["defaults"]


def _image(name: str, record: dict[str, Any], log: list[list[str]], index: int) -> RecordedImage:
    settings = {**defaults(), **record["settings"]}
    written = {key: value for _, key, value in log}
    texts = (record["data"].get("metadata_text") or [None] * (index + 1))[index]
    return RecordedImage(name, _facts(settings, record["data"], written, index), log, texts)


def _facts(settings: dict[str, Any], data: dict[str, Any], written: dict[str, str], index: int) -> ImageFacts:
    """Only what words, pictures and drawn seeds decide is taken from the log; numbers come from the settings."""
    few_step = FEW_STEP.get(settings["performance"])
    if few_step:
        settings = {**settings, **FORCED, "sampler": few_step[2], "scheduler": few_step[3], "refiner": "None"}
    loras = [tuple(lora) for lora in settings["loras"]]
    loras += [lora for tag, lora in PROMPT_LORAS.items() if f"<lora:{tag}:" in settings["prompt"]]
    loras += [few_step[:2]] if few_step else []
    refiner = None if settings["refiner"] in ("None", settings["base_model"]) else settings["refiner"]
    parametrised = data["process_diffusion"] and written["refiner_switch"] == "0.8"
    positive, negative = data["positive"], data["negative"]
    return ImageFacts(
        prompt=written["prompt"],
        negative_prompt=written["negative_prompt"],
        full_prompt=tuple(positive[min(index, len(positive) - 1)]),
        full_negative_prompt=tuple(negative[min(index, len(negative) - 1)]),
        expansion=written["prompt_expansion"],
        styles=tuple(json.loads(written["styles"].replace("'", '"'))),
        performance=settings["performance"],
        steps=settings["ow_step"] if settings["ow_step"] > 0 else int(written["steps"]),
        size=tuple(int(side) for side in written["resolution"].strip("()").split(",")),
        guidance_scale=settings["cfg"],
        sharpness=settings["sharpness"],
        adm_guidance=(settings["adm_p"], settings["adm_n"], settings["adm_end"]),
        base_model=settings["base_model"],
        base_model_hash=HASHES.get(settings["base_model"], ""),
        refiner_model=refiner,
        refiner_switch=1.0 if few_step else 0.8 if parametrised else settings["refiner_switch"],
        refiner_swap_method=settings["refiner_swap"],
        overwrite_switch=settings["ow_switch"],
        adaptive_cfg=settings["adaptive_cfg"],
        clip_skip=settings["clip_skip"],
        sampler=settings["sampler"],
        scheduler=settings["scheduler"],
        seed=int(written["seed"]),
        freeu=tuple(settings[f"freeu_{name}"] for name in ("b1", "b2", "s1", "s2")) if settings["freeu"] else None,
        loras=tuple(LoraFact(name, weight, HASHES.get(name, "")) for name, weight in loras),
        scheme=settings["meta_scheme"] if settings["save_meta"] else None,
        version=VERSION,
    )
