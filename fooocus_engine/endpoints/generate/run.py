"""The conductor of a generation: request → plan → pictures → reply. Reads as the list of steps it is."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.encoders import prompt_expander, text_conditioner
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.publisher import Publisher
from fooocus_engine.endpoints.generate.render import Rendered, encode_all, expand_all, render_all
from fooocus_engine.endpoints.generate.resolved import resolved_parameters
from fooocus_engine.endpoints.generate.seeds import with_seed
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.endpoints.table import ENDPOINTS
from fooocus_engine.jobs.job import Job, Phase
from fooocus_engine.output.publish import result_fields
from fooocus_engine.types import ImageResult

ENDPOINT = "text-to-image"


def run_generation(fields: Mapping[str, Any], resources: Resources, job: Job) -> dict[str, Any]:
    """The reply of api.md §6.3 for canonical ``fields``.

    Raises:
        InvalidRequest: before any model is touched.
        JobCanceled: within one sampling step of a cancel.
    """
    timer = Timer()
    request = with_seed(
        validate_generation(
            fields,
            default_preset=preset_named(resources.settings.preset),
            styles=resources.words.styles.legal_names(),
            limits=resources.settings,
        )
    )
    plan = plan_generation(request, resources.catalogue, resources.words, max_loras=resources.settings.max_loras)
    warnings = list(plan.warnings)
    results = generate(plan, resources, job, warnings=warnings, timer=timer)
    return {
        "job_type": ENDPOINTS[ENDPOINT].job_type,
        "job_stage": "SUCCESS",
        "job_progress": 100,
        "job_status": "Finished",
        "job_result": [result_fields(result) for result in results],
        "warnings": warnings,
        "params": resolved_parameters(request, plan),
        "timings": timer.milliseconds(),
    }


def generate(
    plan: GenerationPlan, resources: Resources, job: Job, *, warnings: list[str], timer: Timer
) -> list[ImageResult]:
    """The stored pictures of a plan; they are stored while others are sampled."""
    with Publisher(plan, resources, job) as publisher:
        with resources.gpu_turn(job):
            for number, picture in enumerate(rendered(plan, resources, job, warnings=warnings, timer=timer)):
                job.save_image(number)
                publisher.add(picture)
        return publisher.results()


def rendered(
    plan: GenerationPlan, resources: Resources, job: Job, *, warnings: list[str], timer: Timer
) -> Iterator[Rendered]:
    """The pictures of a plan. The caller holds the turn on the device (``resources.gpu_turn``)."""
    announce(plan, job)
    job.stage(Phase.LOADING_MODELS)
    with resources.store.prepared(plan.models) as prepared:
        warnings.extend(prepared.warnings)
        timer.lap("load")
        job.stage(Phase.PROCESSING_PROMPTS)
        expansions = expand_all(plan, prompt_expander(plan, resources), job)
        conditioner = text_conditioner(plan, prepared.base, resources)
        steered = encode_all(plan, expansions, conditioner, job)
        warnings.extend(conditioner.warnings)
        job.stage(Phase.MOVING_MODEL)
        job.expect(images=len(plan.images), steps=plan.sampling.steps)
        previews = resources.store.preview if plan.previews else None
        yield from render_all(plan, steered, prepared, previews, job)
    timer.lap("sample")


def announce(plan: GenerationPlan, job: Job) -> None:
    """What is reported before any model is loaded."""
    if plan.few_step_name:
        job.stage(Phase.FEW_STEP_LORA, plan.few_step_name)
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
