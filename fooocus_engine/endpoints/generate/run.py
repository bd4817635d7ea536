"""The conductor of a generation: request → plan → pictures → reply. Reads as the list of steps it is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from PIL import Image

from fooocus_engine.endpoints.generate.canvas import canvas_of, enlarged
from fooocus_engine.endpoints.generate.contract import GenerateRequest, Request, validate_generation
from fooocus_engine.endpoints.generate.controls import inspected_controls, prepared_pictures, steering_networks
from fooocus_engine.endpoints.generate.encoders import prompt_expander, text_conditioner
from fooocus_engine.endpoints.generate.image_prompts import PromptedRequest
from fooocus_engine.endpoints.generate.inpaint_outpaint import RepaintRequest
from fooocus_engine.endpoints.generate.plan import (
    Enlarge,
    GenerationPlan,
    Inpaint,
    Inspect,
    InspectControls,
    Upscale,
)
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.publisher import Publisher
from fooocus_engine.endpoints.generate.render import (
    Groundwork,
    Rendered,
    Steered,
    beginning,
    encode_all,
    expand_all,
    render_all,
)
from fooocus_engine.endpoints.generate.repainting import inspected, region_of, repaint_groundwork, repaint_sources
from fooocus_engine.endpoints.generate.reply_size import check_reply_size
from fooocus_engine.endpoints.generate.resolved import resolved_parameters
from fooocus_engine.endpoints.generate.screening import screened
from fooocus_engine.endpoints.generate.seeds import with_seed
from fooocus_engine.endpoints.generate.upscale_vary import UpscaleVaryRequest
from fooocus_engine.endpoints.generate.webhook import check_webhook
from fooocus_engine.endpoints.intake import take_in
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.endpoints.table import ENDPOINTS
from fooocus_engine.guarded_http import GuardedHttp
from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.models.inpaint_patch import InpaintHead
from fooocus_engine.models.store import Prepared
from fooocus_engine.models.upscaler import Upscaler
from fooocus_engine.output.publish import result_fields
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
    check_webhook(request, resources.storage)
    sources = sources_of(request, resources.http)
    most = resources.settings.max_loras
    plan = plan_generation(request, resources.catalogue, resources.words, max_loras=most, sources=sources)
    check_reply_size(plan, resources.storage, job)
    generation = Generation(plan, sources, resources, job, timer)
    results = generate(generation)
    warnings = [*plan.warnings, *generation.warnings]
    return finished(endpoint, results, warnings, resolved_parameters(request, plan), timer)


def finished(
    endpoint: str, results: Sequence[ImageResult], warnings: Iterable[str], params: Mapping[str, Any], timer: Timer
) -> dict[str, Any]:
    """The reply of a job that has made its pictures."""
    return {
        "job_type": ENDPOINTS[endpoint].job_type,
        "job_stage": "SUCCESS",
        "job_progress": 100,
        "job_status": "Finished",
        "job_result": [result_fields(result) for result in results],
        "warnings": list(warnings),
        "params": dict(params),
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


def sources_of(request: GenerateRequest, http: GuardedHttp) -> Sources:
    """The pictures of a request, fetched, decoded and, with their mask, made ready to be worked on."""
    sources = Sources()
    match request:
        case UpscaleVaryRequest():
            sources = Sources(take_in(request.input_image, ("body", "input_image"), http))
        case RepaintRequest(input_image=str(given)):
            image = take_in(given, ("body", "input_image"), http)
            mask = take_in(request.input_mask, ("body", "input_mask"), http) if request.input_mask else None
            sources = repaint_sources(request, image, mask)
    if isinstance(request, PromptedRequest):
        sources = replace(sources, controls=tuple(_steering(request, http)))
    return sources


def _steering(request: PromptedRequest, http: GuardedHttp) -> Iterator[Image.Image]:
    """The pictures that steer, in the request's order."""
    for place, entry in request.shown.items():
        assert entry.cn_img is not None, "it is shown"
        yield take_in(entry.cn_img, ("body", "image_prompts", place, "cn_img"), http)


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
    make = MAKERS.get(type(plan.goal), rendered)
    with Publisher(plan, resources, job) as publisher:
        with resources.gpu_turn(job):
            for number, picture in enumerate(make(generation)):
                picture = screened(picture, plan, generation.warnings, resources, job)
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
        steered = worded(generation, prepared)
        ground = groundwork(generation, prepared)
        job.stage(Phase.MOVING_MODEL)
        job.expect(images=len(plan.images), steps=plan.sampling.steps)
        previews = resources.store.preview if plan.previews else None
        yield from render_all(plan, steered, prepared, ground, beginning(job, prepared, previews))
    generation.timer.lap("sample")


def worded(generation: Generation, prepared: Prepared) -> list[Steered]:
    """What the words of every picture say to the models."""
    plan, resources, job = generation.plan, generation.resources, generation.job
    job.stage(Phase.PROCESSING_PROMPTS)
    expansions = expand_all(plan, prompt_expander(plan, resources), job)
    conditioner = text_conditioner(plan, prepared.base, resources)
    steered = encode_all(plan, expansions, conditioner, job)
    generation.warnings.extend(conditioner.warnings)
    return steered


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
        ground = repaint_groundwork(plan, sources, prepared, generation, job)
    else:
        ground = Groundwork(canvas_of(plan, sources, prepared, generation.upscaler, job))
    if not plan.steering.tasks:
        return ground
    pictures = prepared_pictures(plan, sources, generation.resources, job)
    controls, prompts = steering_networks(plan, pictures, prepared.base, generation.resources)
    return replace(ground, controls=controls, prompts=prompts)


def inspection(generation: Generation) -> Iterator[Rendered]:
    """What an inpaint would work on; no model but the upscaler is touched. The caller holds the turn."""
    plan, job = generation.plan, generation.job
    if not isinstance(plan.goal, Inspect):
        raise ValueError("nothing is to be inspected")
    announce(plan, job)
    goal = plan.goal.inpaint
    yield from _shown(generation, inspected(goal, region_of(goal, generation.sources, generation, job)))


def controls_inspection(generation: Generation) -> Iterator[Rendered]:
    """What would steer; no model but the face detector is touched. The caller holds the turn."""
    plan, job = generation.plan, generation.job
    announce(plan, job)
    job.stage(Phase.IMAGE_PROCESSING)
    images = inspected_controls(plan, generation.sources, generation.resources, job)
    yield from _shown(generation, images)


def _shown(generation: Generation, images: list[Image.Image]) -> Iterator[Rendered]:
    """Pictures that are not sampled as results."""
    generation.timer.lap("sample")
    generation.job.expect(images=len(images), steps=1)
    for task, image in zip(generation.plan.images, images, strict=True):
        yield Rendered(task, "", image)


def announce(plan: GenerationPlan, job: Job) -> None:
    """What is reported before any model is loaded."""
    if plan.few_step_name and not isinstance(plan.goal, Enlarge | Inspect | InspectControls):
        job.stage(Phase.FEW_STEP_LORA, plan.few_step_name)
    if isinstance(plan.goal, Upscale | Enlarge):
        job.stage(Phase.UPSCALE_MODELS)
    if plan.models.base_patches:
        job.stage(Phase.INPAINTER)
    if plan.steering.tasks:
        job.stage(Phase.CONTROL_FILES)
    job.stage(Phase.CONTROL_MODELS)
    job.stage(Phase.INITIALIZING)


MAKERS = MappingProxyType({Enlarge: enlargement, Inspect: inspection, InspectControls: controls_inspection})
"""Goals that need no sampling."""


class Timer:
    """Milliseconds that the parts of a job took."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        """A part called ``name`` has just ended; those of one name are summed."""
        now = time.perf_counter()
        self._laps[name] = self._laps.get(name, 0.0) + now - self._last
        self._last = now

    def milliseconds(self) -> dict[str, int]:
        """Every part, and the whole as ``total_ms``."""
        whole = {**self._laps, "total": time.perf_counter() - self._started}
        return {f"{name}_ms": round(seconds * 1000) for name, seconds in whole.items()}
