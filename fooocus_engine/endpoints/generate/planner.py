"""Request → plan: a pure function. Asks the catalogue alone, draws no random number, no torch.

Order of evaluation: what the performance mode forces, then the ``overwrite_…`` values (sampling.md §12).
"""

from __future__ import annotations

from dataclasses import replace

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.files import Files, choose_files, require_steering
from fooocus_engine.endpoints.generate.goals import Shapes, canvas_size, goal_of, strength
from fooocus_engine.endpoints.generate.image_prompts import Kind, PromptedRequest
from fooocus_engine.endpoints.generate.inpaint_outpaint import RepaintRequest
from fooocus_engine.endpoints.generate.performance import MODES, Mode
from fooocus_engine.endpoints.generate.plan import (
    ControlTask,
    Enlarge,
    FromText,
    GenerationPlan,
    Goal,
    Inspect,
    InspectControls,
    Recorded,
    Steering,
    Upscale,
)
from fooocus_engine.endpoints.generate.sizes import parse_size
from fooocus_engine.endpoints.generate.upscale_vary import UpscaleVaryRequest
from fooocus_engine.models.catalogue import EXPANSION, LORAS, Catalogue
from fooocus_engine.models.vision_files import CHECKER
from fooocus_engine.prompts.styles import EXPANSION_STYLE
from fooocus_engine.prompts.workload import PromptRequest, Words, assemble, task_seed
from fooocus_engine.sampling.settings import FreeU, GuidanceSettings, SamplingSettings
from fooocus_engine.types import ImageTask, ModelChoice, OutputSettings, Sources

ENCODING_SEEDS = 2**32  # sampling.md §8.3
UNPATCHED_FROM = 0.8  # share of the steps that a patched base makes before it goes on without (sampling.md §10.7)
INSPECTED = 3  # pictures


def plan_generation(
    request: GenerateRequest, catalogue: Catalogue, words: Words, *, max_loras: int, sources: Sources | None = None
) -> GenerationPlan:
    """Everything a generation will do. ``request.image_seed`` must have been drawn already.

    ``max_loras`` is how many LoRAs of request and prompt together are applied; ``sources`` are the request's pictures.

    Raises:
        InvalidRequest: a named model file does not exist, or the size of a picture does not allow what is asked.
        ModelUnavailable: a file that a default or a performance mode needs is not installed.
        BadModelFile: the base checkpoint's companion tells nonsense of its size.
    """
    mode = MODES[request.performance_selection]
    files = choose_files(request, mode, catalogue)
    if request.advanced_params.black_out_nsfw:
        catalogue.find(*CHECKER)
    shapes = Shapes(catalogue.native_side(files.base))
    goal, steering = _steered(request, goal_of(request, sources or Sources(), shapes), files)
    if isinstance(request, UpscaleVaryRequest) and request.diffused and isinstance(goal, Enlarge):
        files.warnings.append(
            f"the prompt and image_number have no effect: {files.base} does not sample enlargements of more than about "
            f"{shapes.largest_diffused} pixels a side"
        )
    require_steering(steering, catalogue, shipped=files.shipped, inspected=isinstance(goal, InspectControls))
    workload = assemble(_prompts(request, mode, files, catalogue, max_loras), words)
    images = workload.images
    if any(task.expand for task in images) and not catalogue.names(EXPANSION, embedded=files.shipped):
        files.warnings.append(f"style {EXPANSION_STYLE!r} added nothing: the prompt expander is not installed")
        images = tuple(_unexpanded(task) for task in images)
    advanced = request.advanced_params
    unpatched_end = not isinstance(request, RepaintRequest) or request.finishes_unpatched
    models = ModelChoice(files.base, files.refiner, files.vae, workload.loras, files.patches, unpatched_end)
    refined_from = _refined_from(request, mode, models)
    return GenerationPlan(
        goal=goal,
        steering=steering,
        models=models,
        size=_size(request, goal),
        encoding_seed=_encoding_seed(request),
        clip_skip=advanced.clip_skip,
        images=_results(images, goal, steering),
        sampling=_sampling(request, mode, goal, refined_from),
        guidance=_guidance(request, mode),
        output=_output(request, goal),
        recorded=_recorded(request, refined_from),
        few_step_name=mode.forced.name if mode.forced else None,
        previews=not (advanced.disable_preview or advanced.black_out_nsfw),
        screened=advanced.black_out_nsfw,
        warnings=tuple(files.warnings),
    )


def _steered(request: GenerateRequest, goal: Goal, files: Files) -> tuple[Goal, Steering]:
    """What steers besides the words, and the goal, which is to show just that where the request wants it."""
    advanced = request.advanced_params
    tasks = _control_tasks(request) if isinstance(request, PromptedRequest) else ()
    if tasks and isinstance(goal, Enlarge):
        files.warnings.append("image_prompts have no effect: an enlargement of this kind is not sampled")
        tasks = ()
    if tasks and advanced.debugging_cn_preprocessor and not isinstance(goal, Inspect):
        goal = InspectControls(_size(request, goal))
    thresholds = advanced.canny_low_threshold, advanced.canny_high_threshold
    return goal, Steering(tasks, advanced.skipping_cn_preprocessor, thresholds, advanced.controlnet_softness)


def _control_tasks(request: PromptedRequest) -> tuple[ControlTask, ...]:
    """Kind after kind, those of one kind as the request lists them."""
    tasks = [
        ControlTask(entry.cn_type, source, entry.stop, entry.weight)
        for source, entry in enumerate(request.shown.values())
    ]
    return tuple(sorted(tasks, key=lambda task: list(Kind).index(task.kind)))


def _unexpanded(task: ImageTask) -> ImageTask:
    """``task`` as if the expander's style had not been asked for."""
    return replace(task, expand=False, styles=tuple(name for name in task.styles if name != EXPANSION_STYLE))


def _results(images: tuple[ImageTask, ...], goal: Goal, steering: Steering) -> tuple[ImageTask, ...]:
    """One task for each picture that there will be."""
    match goal:
        case Enlarge():
            return images[:1]
        case Inspect():
            return tuple(replace(images[0], index=index) for index in range(INSPECTED))
        case InspectControls():
            return tuple(replace(images[0], index=index) for index in range(len(steering.tasks)))
        case _:
            return images


def _refined_from(request: GenerateRequest, mode: Mode, models: ModelChoice) -> float:
    """The share of the steps after which the refiner takes over."""
    if models.base_patches and models.refiner is None and models.finishes_unpatched:
        return UNPATCHED_FROM
    return mode.forced.refiner_switch if mode.forced else request.refiner_switch


def _prompts(request: GenerateRequest, mode: Mode, files: Files, catalogue: Catalogue, max_loras: int) -> PromptRequest:
    return PromptRequest(
        prompt=request.whole_prompt,
        negative_prompt=request.negative_prompt,
        styles=request.style_selections,
        seed=request.image_seed,
        image_number=request.image_number,
        first_index=request.image_index_offset,
        disable_seed_increment=request.advanced_params.disable_seed_increment,
        read_wildcards_in_order=request.read_wildcards_in_order,
        loras=files.loras,
        performance_lora=mode.lora,
        known_loras=tuple(catalogue.names(LORAS, embedded=files.shipped)),
        max_loras=max_loras,
    )


def _size(request: GenerateRequest, goal: Goal) -> tuple[int, int]:
    match goal:
        case Enlarge() | InspectControls():
            return goal.size
        case FromText():
            advanced, (width, height) = request.advanced_params, parse_size(request.aspect_ratios_selection)
            return (
                advanced.overwrite_width if advanced.overwrite_width > 0 else width,
                advanced.overwrite_height if advanced.overwrite_height > 0 else height,
            )
        case _:
            return canvas_size(goal)


def _encoding_seed(request: GenerateRequest) -> int:
    """The seed of the whole request's last picture, also where this job makes a part of them (api.md §6.9)."""
    pictures = request.image_total or request.image_index_offset + request.image_number
    last = task_seed(request.image_seed, pictures - 1, request.advanced_params.disable_seed_increment)
    return last % ENCODING_SEEDS


def _sampling(request: GenerateRequest, mode: Mode, goal: Goal, refined_from: float) -> SamplingSettings:
    advanced, forced = request.advanced_params, mode.forced
    steps = mode.upscale_steps if isinstance(goal, Upscale) else mode.steps
    return SamplingSettings(
        steps=advanced.overwrite_step if advanced.overwrite_step > 0 else steps,
        switch=_switch(advanced.overwrite_switch, refined_from, steps),
        sampler=forced.sampler if forced else advanced.sampler_name,
        scheduler=forced.scheduler if forced else advanced.scheduler_name,
        denoise=strength(request),
        swap=advanced.refiner_swap_method,
    )


def _switch(overwrite: float, share: float, steps: int) -> int:
    """Shares count the mode's own ``steps``, also when those are overwritten (sampling.md §10.1, api.md §2.4)."""
    if overwrite >= 1:
        return round(overwrite)
    return round(steps * (overwrite if overwrite > 0 else share))


def _guidance(request: GenerateRequest, mode: Mode) -> GuidanceSettings:
    advanced = request.advanced_params
    freeu = FreeU(advanced.freeu_b1, advanced.freeu_b2, advanced.freeu_s1, advanced.freeu_s2)
    asked = GuidanceSettings(
        cfg=request.guidance_scale,
        sharpness=request.sharpness,
        adaptive_cfg=advanced.adaptive_cfg,
        adm_positive=advanced.adm_scaler_positive,
        adm_negative=advanced.adm_scaler_negative,
        adm_end=advanced.adm_scaler_end,
    )
    return replace(mode.forced.guidance if mode.forced else asked, freeu=freeu if advanced.freeu_enabled else None)


def _output(request: GenerateRequest, goal: Goal) -> OutputSettings:
    worded = not isinstance(goal, Enlarge | Inspect | InspectControls)  # words made it (image-uov.md §2)
    return OutputSettings(
        extension=request.save_extension,
        metadata_scheme=request.meta_scheme if request.save_meta and worded else None,
        name=request.save_name,
        with_base64=request.require_base64,
    )


def _recorded(request: GenerateRequest, refined_from: float) -> Recorded:
    return Recorded(
        performance=request.performance_selection.value,
        refiner_switch=refined_from,
        overwrite_switch=request.advanced_params.overwrite_switch,
    )
