"""What a picture records: the plan's values and one task's words, gathered for the metadata. No torch."""

from __future__ import annotations

from collections.abc import Mapping

from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.models.catalogue import CHECKPOINTS, LORAS
from fooocus_engine.output.encode import WRITTEN_BY
from fooocus_engine.output.metadata import ImageFacts, LoraFact
from fooocus_engine.types import ImageTask, ModelChoice

Hashes = Mapping[tuple[str, str], str]
"""(kind of file, name) → first ten hex digits of its SHA-256."""


def hashed_files(models: ModelChoice) -> list[tuple[str, str]]:
    """Kind and name of every file whose hash is recorded."""
    checkpoints = [name for name in (models.base, models.refiner) if name]
    return [*((CHECKPOINTS, name) for name in checkpoints), *((LORAS, name) for name, _ in models.loras)]


def image_facts(
    plan: GenerationPlan, task: ImageTask, *, expansion: str, hashes: Hashes, version: str = WRITTEN_BY
) -> ImageFacts:
    """The record of one picture; ``expansion`` is the text that was appended, or empty. Unknown hashes stay empty."""
    models, sampling, guidance, freeu = plan.models, plan.sampling, plan.guidance, plan.guidance.freeu
    return ImageFacts(
        prompt=task.log_positive,
        negative_prompt=task.log_negative,
        full_prompt=(*task.positive, *([expansion] if task.expand else [])),
        full_negative_prompt=task.negative,
        expansion=expansion,
        styles=task.styles,
        performance=plan.recorded.performance,
        steps=sampling.steps,
        size=plan.size,
        guidance_scale=guidance.cfg,
        sharpness=guidance.sharpness,
        adm_guidance=(guidance.adm_positive, guidance.adm_negative, guidance.adm_end),
        base_model=models.base,
        base_model_hash=hashes.get((CHECKPOINTS, models.base), ""),
        refiner_model=models.refiner,
        refiner_model_hash=hashes.get((CHECKPOINTS, models.refiner or ""), ""),
        refiner_switch=plan.recorded.refiner_switch,
        refiner_swap_method=sampling.swap.value,
        overwrite_switch=plan.recorded.overwrite_switch,
        adaptive_cfg=guidance.adaptive_cfg,
        clip_skip=plan.clip_skip,
        sampler=sampling.sampler,
        scheduler=sampling.scheduler,
        vae=models.vae,
        seed=task.seed,
        freeu=(freeu.b1, freeu.b2, freeu.s1, freeu.s2) if freeu else None,
        loras=tuple(LoraFact(name, weight, hashes.get((LORAS, name), "")) for name, weight in models.loras),
        scheme=plan.output.metadata_scheme,
        version=version,
    )
