"""The conductor of a generation: request → plan → pictures → reply. Reads as the list of steps it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fooocus_engine.endpoints.generate.canvas import canvas_of, enlarged
from fooocus_engine.endpoints.generate.contract import GenerateRequest, Request, validate_generation
from fooocus_engine.endpoints.generate.encoders import prompt_expander, text_conditioner
from fooocus_engine.endpoints.generate.inpaint_outpaint import InpaintRequest
from fooocus_engine.endpoints.generate.plan import Enlarge, GenerationPlan, Inpaint, Inspect, Upscale
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.publisher import Publisher
from fooocus_engine.endpoints.generate.render import (
    Groundwork,
    Rendered,
    beginning,
    encode_all,
    expand_all,
    render_all,
)
from fooocus_engine.endpoints.generate.repainting import inspected, region_of, repaint_groundwork, repaint_sources
from fooocus_engine.endpoints.generate.reply_size import check_reply_size
from fooocus_engine.endpoints.generate.resolved import resolved_parameters
from fooocus_engine.endpoints.generate.seeds import with_seed
from fooocus_engine.endpoints.generate.upscale_vary import UpscaleVaryRequest
from fooocus_engine.endpoints.intake import take_in
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.endpoints.table import ENDPOINTS
from fooocus_engine.guarded_http import GuardedHttp
from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.models.inpaint_patch import InpaintHead
from fooocus_engine.models.store import Prepared
from fooocus_engine.models.upscaler import Upscaler
from fooocus_engine.output.publish import result_fields
from fooocus_engine.public_hosts import Guard
from fooocus_engine.settings import Settings
from fooocus_engine.types import ImageResult, Sources


def run_generation(
    endpoint: str, model: type[GenerateRequest], fields: Mapping[str, Any], resources: Resources, job: Job
) -> dict[str, Any]:
    """The reply of api.md §6.3 for canonical ``fields`` of an endpoint whose request is a ``model``.

    Raises:
        InvalidRequest, ReplyTooLarge: before any model is touched.
        JobCanceled: within one sampling step, or one tile of the upscaler, of a cancel.
    """
    timer = Timer()
    request = with_seed(understood(fields, model, resources))
    sources = sources_of(request, resources.settings)
    most = resources.settings.max_loras
    plan = plan_generation(request, resources.catalogue, resources.words, max_loras=most, sources=sources)
    check_reply_size(plan, resources.storage, job)
    generation = Generation(plan, sources, resources, job, timer)
    results = generate(generation)
    return {
        "job_type": ENDPOINTS[endpoint].job_type,
        "job_stage": "SUCCESS",
        "job_progress": 100,
        "job_status": "Finished",
        "job_result": [result_fields(result) for result in results],
        "warnings": [*plan.warnings, *generation.warnings],
        "params": resolved_parameters(request, plan),
        "timings": timer.milliseconds(),
    }


def understood(fields: Mapping[str, Any], model: type[Request], resources: Resources) -> Request:
    """The request that ``fields`` spell on this server."""
    return validate_generation(
        fields,
        model,
        default_preset=preset_named(resources.settings.preset),
        styles=resources.words.styles.legal_names(),
        limits=resources.settings,
    )


def sources_of(request: GenerateRequest, settings: Settings) -> Sources:
    """The pictures of a request, fetched, decoded and, with their mask, made ready to be worked on."""
    http = GuardedHttp(Guard(settings.private_urls))
    match request:
        case UpscaleVaryRequest():
            return Sources(take_in(request.input_image, ("body", "input_image"), http))
        case InpaintRequest():
            image = take_in(request.input_image, ("body", "input_image"), http)
            mask = take_in(request.input_mask, ("body", "input_mask"), http) if request.input_mask else None
            return repaint_sources(request, image, mask)
        case _:
            return Sources()


@dataclass(frozen=True, eq=False)
class Generation:
    """What is made, from what, with what and for whom."""

    plan: GenerationPlan
    sources: Sources
    resources: Resources
    job: Job
    timer: Timer
    warnings: list[str] = field(default_factory=list)
    """Grows while the models work."""

    def upscaler(self) -> Upscaler:
        """The super-resolution network that belongs to the base."""
        return self.resources.store.upscaler(self.plan.models.base)

    def inpaint_head(self) -> InpaintHead:
        """What shows the base what is to be repainted."""
        return self.resources.store.inpaint_head(self.plan.models.base)


def generate(generation: Generation) -> list[ImageResult]:
    """The stored pictures; they are stored while others are sampled."""
    plan, resources, job = generation.plan, generation.resources, generation.job
    make = {Enlarge: enlargement, Inspect: inspection}.get(type(plan.goal), rendered)
    with Publisher(plan, resources, job) as publisher:
        with resources.gpu_turn(job):
            for number, picture in enumerate(make(generation)):
                job.save_image(number)
                publisher.add(picture)
        return publisher.results()


def rendered(generation: Generation) -> Iterator[Rendered]:
    """The sampled pictures. The caller holds the turn on the device (``resources.gpu_turn``)."""
    plan, resources, job = generation.plan, generation.resources, generation.job
    announce(plan, job)
    job.stage(Phase.LOADING_MODELS)
    with resources.store.prepared(plan.models) as prepared:
        generation.warnings.extend(prepared.warnings)
        generation.timer.lap("load")
        job.stage(Phase.PROCESSING_PROMPTS)
        expansions = expand_all(plan, prompt_expander(plan, resources), job)
        conditioner = text_conditioner(plan, prepared.base, resources)
        steered = encode_all(plan, expansions, conditioner, job)
        generation.warnings.extend(conditioner.warnings)
        ground = groundwork(generation, prepared)
        job.stage(Phase.MOVING_MODEL)
        job.expect(images=len(plan.images), steps=plan.sampling.steps)
        previews = resources.store.preview if plan.previews else None
        yield from render_all(plan, steered, prepared, ground, beginning(job, prepared, previews))
    generation.timer.lap("sample")


def enlargement(generation: Generation) -> Iterator[Rendered]:
    """The given picture, enlarged by the upscaler alone; no other model is touched. The caller holds the turn."""
    plan, job = generation.plan, generation.job
    announce(plan, job)
    upscaler = generation.upscaler()
    generation.timer.lap("load")
    image = enlarged(plan, generation.sources, lambda: upscaler, job)
    generation.timer.lap("sample")
    yield Rendered(plan.images[0], "", image)


def groundwork(generation: Generation, prepared: Prepared) -> Groundwork:
    """What is ready before the first picture begins."""
    plan, sources, job = generation.plan, generation.sources, generation.job
    if isinstance(plan.goal, Inpaint):
        return repaint_groundwork(plan, sources, prepared, generation, job)
    return Groundwork(canvas_of(plan, sources, prepared, generation.upscaler, job))


def inspection(generation: Generation) -> Iterator[Rendered]:
    """What an inpaint would work on; no model but the upscaler is touched. The caller holds the turn."""
    plan, job = generation.plan, generation.job
    if not isinstance(plan.goal, Inspect):
        raise ValueError("nothing is to be inspected")
    announce(plan, job)
    goal = plan.goal.inpaint
    images = inspected(goal, region_of(goal, generation.sources, generation, job))
    generation.timer.lap("sample")
    job.expect(images=len(images), steps=1)
    for task, image in zip(plan.images, images, strict=True):
        yield Rendered(task, "", image)


def announce(plan: GenerationPlan, job: Job) -> None:
    """What is reported before any model is loaded."""
    if plan.few_step_name and not isinstance(plan.goal, Enlarge | Inspect):
        job.stage(Phase.FEW_STEP_LORA, plan.few_step_name)
    if isinstance(plan.goal, Upscale | Enlarge):
        job.stage(Phase.UPSCALE_MODELS)
    if plan.models.base_patches:
        job.stage(Phase.INPAINTER)
    job.stage(Phase.CONTROL_MODELS)
    job.stage(Phase.INITIALIZING)


class Timer:
    """Milliseconds that the parts of a job took."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._laps: dict[str, int] = {}

    def lap(self, name: str) -> None:
        """The part called ``name`` has just ended."""
        now = time.perf_counter()
        self._laps[f"{name}_ms"] = round((now - self._last) * 1000)
        self._last = now

    def milliseconds(self) -> dict[str, int]:
        """Every part, and the whole as ``total_ms``."""
        return {**self._laps, "total_ms": round((time.perf_counter() - self._started) * 1000)}
