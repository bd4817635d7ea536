"""Replays groups H: whole requests, from the request's fields to latents, pixels, log rows and metadata texts.

A record's settings become an API request, which is validated, planned and rendered as a job's would be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.encoders import prompt_expander, text_conditioner
from fooocus_engine.endpoints.generate.facts import image_facts
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.publisher import model_hashes
from fooocus_engine.endpoints.generate.render import (
    Steered,
    decoded,
    encode_all,
    expand_all,
    freeu_of,
    recipe,
)
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.store import Prepared
from fooocus_engine.output.metadata import embedded_text, log_rows
from fooocus_engine.sampling.model_sampling import discrete_sampling
from fooocus_engine.sampling.refiner import SECOND_PASS_NOISE
from fooocus_engine.sampling.sample import Sampled, sample
from fooocus_engine.sampling.schedules import named_sigmas
from fooocus_engine.types import Step
from tests.golden.compare import BLOCK_LEVELS, exact, picture_error, tensor_error
from tests.golden.image_prompts import only_image_prompts, requested_prompts
from tests.golden.records import Record
from tests.golden.workbench import Workbench

VERSION = "Fooocus v2.5.5"
SIGMAS = 2e-6  # allowed for noise levels, absolute and relative, as in group A
TEXTS = 1e-4  # allowed for conditioning, absolute and relative
FIELDS = {  # request field of the recordings → field of the API
    "prompt": "prompt",
    "negative_prompt": "negative_prompt",
    "style_selections": "style_selections",
    "performance": "performance_selection",
    "aspect": "aspect_ratios_selection",
    "image_number": "image_number",
    "seed": "image_seed",
    "sharpness": "sharpness",
    "cfg": "guidance_scale",
    "base_model": "base_model_name",
    "refiner": "refiner_model_name",
    "refiner_switch": "refiner_switch",
    "read_wildcards_in_order": "read_wildcards_in_order",
    "save_meta": "save_meta",
    "meta_scheme": "meta_scheme",
}
ADVANCED = {
    "disable_preview": "disable_preview",
    "disable_seed_increment": "disable_seed_increment",
    "adm_p": "adm_scaler_positive",
    "adm_n": "adm_scaler_negative",
    "adm_end": "adm_scaler_end",
    "adaptive_cfg": "adaptive_cfg",
    "clip_skip": "clip_skip",
    "sampler": "sampler_name",
    "scheduler": "scheduler_name",
    "vae": "vae_name",
    "ow_step": "overwrite_step",
    "ow_switch": "overwrite_switch",
    "ow_width": "overwrite_width",
    "ow_height": "overwrite_height",
    "refiner_swap": "refiner_swap_method",
    "freeu": "freeu_enabled",
    "freeu_b1": "freeu_b1",
    "freeu_b2": "freeu_b2",
    "freeu_s1": "freeu_s1",
    "freeu_s2": "freeu_s2",
}


def replay(record: Record, workbench: Workbench) -> float | None:
    """Largest error of a record of the groups H; of those with pictures as input, image prompts alone are supported."""
    settings = record.group.defaults | record.settings
    if (settings.get("input_image") and not only_image_prompts(settings)) or settings.get("enh"):
        return None
    plan = planned(settings, workbench)
    with torch.inference_mode():
        return max(errors(record, plan, workbench))


def planned(settings: dict[str, Any], workbench: Workbench) -> GenerationPlan:
    resources = workbench.resources
    installed = set(workbench.known_loras)
    fields: dict[str, Any] = {ours: settings[theirs] for theirs, ours in FIELDS.items() if theirs in settings}
    fields.setdefault("save_meta", False)
    # The reference passes over LoRA files that are not there.
    fields["loras"] = [[name, weight] for name, weight in settings["loras"] if name in installed]
    fields["advanced_params"] = {ours: settings[theirs] for theirs, ours in ADVANCED.items() if theirs in settings}
    request = validate_generation(
        fields,
        default_preset=preset_named("default"),
        styles=workbench.words.styles.legal_names(),
        limits=resources.settings,
    )
    return plan_generation(request, resources.catalogue, workbench.words, max_loras=resources.settings.max_loras)


def errors(record: Record, plan: GenerationPlan, workbench: Workbench) -> Iterator[float]:
    resources, job = workbench.resources, Job("replay", lambda event: None)
    with resources.store.prepared(plan.models) as prepared:
        expansions = expand_all(plan, prompt_expander(plan, resources), job)
        steered = encode_all(plan, expansions, text_conditioner(plan, prepared.base, resources), job)
        yield from word_errors(record, plan, steered, workbench)
        prompts, call = requested_prompts(record, workbench, prepared.base.unet), 0
        with freeu_of(prepared.base.unet, plan.guidance.freeu):
            for index, words in enumerate(steered):
                steps: list[Step] = []
                asked = recipe(plan, words, prepared)
                asked = replace(asked, base=replace(asked.base, image_prompts=prompts))
                sampled = sample(asked, seed=words.task.seed, on_step=steps.append)
                latents = passes(sampled)
                for latent in latents:
                    yield from latent_errors(record, latent, call)
                    call += 1
                yield from trace_errors(record, steps)
                yield from second_pass_errors(record, plan, call - 1)
                yield from picture_errors(record, sampled, index, prepared)


def passes(sampled: Sampled) -> list[Tensor]:
    """Latents of the image's sampling calls, in order."""
    return [sampled.latent] if sampled.first is None else [sampled.first, sampled.latent]


def word_errors(record: Record, plan: GenerationPlan, steered: list[Steered], workbench: Workbench) -> Iterator[float]:
    data, hashes = record.data, model_hashes(plan, workbench.resources)
    facts = [
        image_facts(plan, words.task, expansion=words.expansion, hashes=hashes, version=VERSION) for words in steered
    ]
    yield exact([[list(row) for row in log_rows(fact)] for fact in facts], data["log"])
    yield exact([list(fact.full_prompt) for fact in facts], data["positive"])
    yield exact([list(fact.full_negative_prompt) for fact in facts], data["negative"])
    yield exact([embedded_text(fact) for fact in facts], data.get("metadata_text", [None] * len(facts)))
    called = data["process_diffusion"][0]
    yield exact((called["width"], called["height"]), plan.size)
    yield exact((called["steps"], called["switch"]), (plan.sampling.steps, plan.sampling.switch))
    for index, words in enumerate(steered):
        for side, text in (("positive", words.positive), ("negative", words.negative)):
            found = {f"{side}_pooled_{index}": text.pooled}
            if index == 0:
                found[f"{side}_cond"] = text.cross_attention
            for name, tensor in found.items():
                if name in record.outputs and tensor is not None:
                    yield tensor_error(tensor, record.output(name), absolute=TEXTS, relative=TEXTS)


def latent_errors(record: Record, latent: Tensor, call: int) -> Iterator[float]:
    found = {f"ksampler_{call}": latent, f"ksampler_{call}_stride2": latent[..., ::2, ::2]}
    for name, tensor in found.items():
        if name in record.outputs:
            yield tensor_error(tensor, record.output(name), **latent_tolerance(record))


def trace_errors(record: Record, steps: list[Step]) -> Iterator[float]:
    for name, tensors in (("steps_x0", [s.x0 for s in steps]), ("steps_x", [s.x for s in steps])):
        if name in record.outputs:
            yield tensor_error(torch.stack(tensors), record.output(name), **latent_tolerance(record))
    if "callback_steps" in record.data:
        yield exact([step.index for step in steps], record.data["callback_steps"])


def second_pass_errors(record: Record, plan: GenerationPlan, call: int) -> Iterator[float]:
    """The noise levels of the second pass of a ``vae`` swap."""
    if (name := f"ksampler_{call}_sigmas") in record.outputs:
        sigmas = named_sigmas(plan.sampling, discrete_sampling())[plan.sampling.switch :] * SECOND_PASS_NOISE
        yield tensor_error(sigmas, record.output(name), absolute=SIGMAS, relative=SIGMAS)


def latent_tolerance(record: Record) -> dict[str, float]:
    tolerance = record.group.tolerance
    return {"absolute": tolerance["latent_abs"], "relative": tolerance["latent_rel"]}


def picture_errors(record: Record, sampled: Sampled, index: int, prepared: Prepared) -> Iterator[float]:
    picture = np.array(decoded(sampled, prepared))
    levels = record.group.tolerance["image_uint8_max"]
    for name in record.png:
        if name == f"image{index}":
            yield picture_error(picture, record.picture(name), levels=levels)
        elif crop := re.fullmatch(rf"image{index}_crop_(\d+)_(\d+)_(\d+)", name):
            top, left, side = map(int, crop.groups())
            yield picture_error(picture[top : top + side, left : left + side], record.picture(name), levels=levels)
    for name in record.outputs:
        if block := re.fullmatch(rf"image{index}_blockmean(\d+)", name):
            pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
            means = F.avg_pool2d(pixels, int(block[1])).permute(0, 2, 3, 1)
            expected = record.output(name)
            yield tensor_error(means.reshape(expected.shape), expected, absolute=BLOCK_LEVELS)
