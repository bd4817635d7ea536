"""Replays groups H: whole requests, from the request's fields to latents, pixels, log rows and metadata texts.

A record's settings become an API request, which is validated, planned and rendered as a job's would be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from fooocus_engine.endpoints.generate.canvas import canvas_of, enlarged
from fooocus_engine.endpoints.generate.contract import GenerateRequest, validate_generation
from fooocus_engine.endpoints.generate.controls import prepared_pictures, steering_networks
from fooocus_engine.endpoints.generate.encoders import prompt_expander, text_conditioner
from fooocus_engine.endpoints.generate.facts import image_facts
from fooocus_engine.endpoints.generate.image_prompts import PromptedRequest
from fooocus_engine.endpoints.generate.inpaint_outpaint import ImagePromptRequest, InpaintRequest, RepaintRequest
from fooocus_engine.endpoints.generate.plan import Enlarge, GenerationPlan, Inpaint, Upscale
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.publisher import model_hashes
from fooocus_engine.endpoints.generate.render import (
    Groundwork,
    Steered,
    decoded,
    encode_all,
    expand_all,
    freeu_of,
    recipe,
    shown_to,
)
from fooocus_engine.endpoints.generate.repainting import repaint_groundwork
from fooocus_engine.endpoints.generate.upscale_vary import UpscaleVaryRequest
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.metadata import FAST_UPSCALE_ROWS, embedded_text, log_rows
from fooocus_engine.sampling.model_sampling import discrete_sampling
from fooocus_engine.sampling.refiner import SECOND_PASS_NOISE
from fooocus_engine.sampling.sample import Sampled, sample
from fooocus_engine.sampling.schedules import named_sigmas
from fooocus_engine.types import Canvas, Sources, Step
from tests.golden import enhancements, repaints
from tests.golden.compare import BLOCK_LEVELS, exact, picture_error, psnr, tensor_error
from tests.golden.image_prompts import controls_of, requested
from tests.golden.records import Record
from tests.golden.workbench import Workbench

VERSION = "Fooocus v2.5.5"
SIGMAS = 2e-6  # allowed for noise levels, absolute and relative, as in group A
LEAST_PSNR = 45  # decibels
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
    **repaints.FIELDS,
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
    "ow_vary": "overwrite_vary_strength",
    "ow_upscale": "overwrite_upscale_strength",
    "refiner_swap": "refiner_swap_method",
    "freeu": "freeu_enabled",
    "freeu_b1": "freeu_b1",
    "freeu_b2": "freeu_b2",
    "freeu_s1": "freeu_s1",
    "freeu_s2": "freeu_s2",
    "softness": "controlnet_softness",
    "skip_cn": "skipping_cn_preprocessor",
    "canny_low": "canny_low_threshold",
    "canny_high": "canny_high_threshold",
    **repaints.ADVANCED,
}


def replay(record: Record, workbench: Workbench) -> float:
    """Largest error of a record of the groups H."""
    settings = record.group.defaults | record.settings
    if settings["enh"]:
        return max(enhancements.errors(record, settings, workbench))
    request = asked(record, settings, workbench)
    sources = sources_of(record, request)
    plan = planned(request, workbench, sources)
    with torch.inference_mode():
        if isinstance(plan.goal, Enlarge):
            return max(enlargement_errors(record, plan, sources, workbench))
        return max(errors(record, plan, sources, workbench))


def model_of(record: Record, settings: dict[str, Any]) -> type[GenerateRequest]:
    """What a request is one of here, by its pictures."""
    if not settings["input_image"]:
        return GenerateRequest
    if settings["uov_image"] is not None and settings["uov_method"] != "Disabled":
        return UpscaleVaryRequest
    if repaints.repaints(record, settings):
        return ImagePromptRequest if settings["tab"] == "ip" else InpaintRequest
    return PromptedRequest if settings["cn"] else GenerateRequest


def common_fields(settings: dict[str, Any], workbench: Workbench) -> dict[str, Any]:
    """The fields of every request."""
    installed = set(workbench.known_loras)
    fields: dict[str, Any] = {ours: settings[theirs] for theirs, ours in FIELDS.items() if theirs in settings}
    fields.setdefault("save_meta", False)
    # The reference passes over LoRA files that are not there.
    fields["loras"] = [[name, weight] for name, weight in settings["loras"] if name in installed]
    fields["advanced_params"] = {ours: settings[theirs] for theirs, ours in ADVANCED.items() if theirs in settings}
    return fields


def asked(record: Record, settings: dict[str, Any], workbench: Workbench) -> GenerateRequest:
    """The record's settings as a request."""
    fields = common_fields(settings, workbench)
    model = model_of(record, settings)
    if issubclass(model, UpscaleVaryRequest | RepaintRequest):
        fields["input_image"] = "taken in"
    if issubclass(model, PromptedRequest):
        fields["image_prompts"] = requested(settings)
    if model is UpscaleVaryRequest:
        fields["uov_method"] = settings["uov_method"]
    return validate_generation(
        fields,
        model,
        default_preset=preset_named("default"),
        styles=workbench.words.styles.legal_names(),
        limits=workbench.resources.settings,
    )


def sources_of(record: Record, request: GenerateRequest) -> Sources:
    """The record's pictures, ready to be worked on."""
    sources = Sources()
    match request:
        case UpscaleVaryRequest():
            sources = Sources(repaints.read(record, "uov"))
        case RepaintRequest():
            sources = repaints.sources_of(record, request)
    return replace(sources, controls=controls_of(record))


def planned(request: GenerateRequest, workbench: Workbench, sources: Sources) -> GenerationPlan:
    resources = workbench.resources
    most = resources.settings.max_loras
    return plan_generation(request, resources.catalogue, workbench.words, max_loras=most, sources=sources)


def silent() -> Job:
    return Job("replay", lambda event: None)


def errors(
    record: Record,
    plan: GenerationPlan,
    sources: Sources,
    workbench: Workbench,
    made: Callable[[np.ndarray[Any, Any]], None] = lambda picture: None,
) -> Iterator[float]:
    """Of a generation, from its words to its pictures, each of which is handed to ``made``."""
    resources, job = workbench.resources, silent()
    with resources.store.prepared(plan.models) as prepared:
        expansions = expand_all(plan, prompt_expander(plan, resources), job)
        steered = encode_all(plan, expansions, text_conditioner(plan, prepared.base, resources), job)
        yield from word_errors(record, plan, steered, workbench)
        networks = repaints.Networks(resources.store, plan.models.base)
        if isinstance(plan.goal, Inpaint):
            ground = repaint_groundwork(plan, sources, prepared, networks, job)
            yield from repaints.region_errors(record, plan, sources, ground, networks)
        else:
            ground = Groundwork(canvas_of(plan, sources, prepared, networks.upscaler, job))
        yield from canvas_errors(record, ground.canvas)
        pictures = prepared_pictures(plan, sources, resources, job)
        controls, prompts = steering_networks(plan, pictures, prepared.base, resources)
        ground, call = replace(ground, controls=controls, prompts=prompts), 0
        with freeu_of(prepared.base.unet, plan.guidance.freeu), shown_to(prepared.base.unet, ground.shown):
            for index, words in enumerate(steered):
                steps: list[Step] = []
                sampled = sample(recipe(plan, words, prepared, ground), seed=words.task.seed, on_step=steps.append)
                latents = passes(sampled)
                for latent in latents:
                    yield from latent_errors(record, latent, call)
                    call += 1
                yield from trace_errors(record, steps)
                yield from second_pass_errors(record, plan, call - 1)
                picture = ground.finish(decoded(sampled, prepared, tiled=isinstance(plan.goal, Upscale)))
                made(np.array(picture))
                yield from picture_errors(record, np.array(picture), index)


def enlargement_errors(record: Record, plan: GenerationPlan, sources: Sources, workbench: Workbench) -> Iterator[float]:
    """Of a picture that goes through the upscaler alone."""
    upscaler = workbench.resources.store.upscaler(plan.models.base)
    yield exact([[list(row) for row in FAST_UPSCALE_ROWS]], record.data["log"])
    yield from picture_errors(record, np.array(enlarged(plan, sources, lambda: upscaler, silent())), 0)


def canvas_errors(record: Record, canvas: Canvas) -> Iterator[float]:
    """The latent that sampling starts from, where one is recorded."""
    if (name := "initial_latent_stride2") in record.outputs:
        assert canvas.start is not None
        yield tensor_error(canvas.start[..., ::2, ::2], record.output(name), **latent_tolerance(record))


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
    yield exact((called["denoise"], called["tiled"]), (plan.sampling.denoise, isinstance(plan.goal, Upscale)))
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


def picture_errors(record: Record, picture: np.ndarray[Any, Any], index: int) -> Iterator[float]:
    levels = record.group.tolerance["image_uint8_max"]
    for name in record.png:
        if name == f"image{index}" or name.startswith(f"image{index}_crop"):
            made, expected_picture = part(picture, name), record.picture(name)
            yield picture_error(made, expected_picture, levels=levels)
            yield LEAST_PSNR / psnr(made, expected_picture)
    for name in record.outputs:
        if block := re.fullmatch(rf"image{index}_blockmean(\d+)", name):
            pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
            means = F.avg_pool2d(pixels, int(block[1])).permute(0, 2, 3, 1)
            expected = record.output(name)
            yield tensor_error(means.reshape(expected.shape), expected, absolute=BLOCK_LEVELS)


def part(picture: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """What is recorded of ``picture`` under ``name``: all of it, or a square that the name tells."""
    crop = re.fullmatch(r"image\d+_crop_(\d+)_(\d+)_(\d+)", name)
    if crop is None:
        return picture
    top, left, side = map(int, crop.groups())
    return picture[top : top + side, left : left + side]
