"""A request as it was carried out: what the reply tells as ``params`` (api.md §6.3). No torch.

Sent back, it comes down to the same plan wherever the same files are installed: every default, drawn or forced value
is spelt out. What the server adds by itself (the LoRA of a performance mode, those of the prompt's tags) stays out, so
that it is not added twice.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.plan import GenerationPlan, Inpaint, Inspect
from fooocus_engine.endpoints.generate.presets import NO_MODEL
from fooocus_engine.prompts.styles import EXPANSION_STYLE
from fooocus_engine.types import MODEL_VAE


def resolved_parameters(request: GenerateRequest, plan: GenerationPlan) -> dict[str, Any]:
    """Every field of ``request`` as JSON values, with what ``plan`` made of it. The seed has been drawn already."""
    models, guidance = plan.models, plan.guidance
    parameters = request.model_dump(mode="json")
    parameters |= {
        "base_model_name": models.base,
        "refiner_model_name": models.refiner or NO_MODEL,
        "refiner_switch": plan.recorded.refiner_switch,
        "loras": _loras(request, plan),
        "guidance_scale": guidance.cfg,
        "sharpness": guidance.sharpness,
        "style_selections": _styles(request, plan),
    }
    parameters["advanced_params"] |= {
        "adm_scaler_positive": guidance.adm_positive,
        "adm_scaler_negative": guidance.adm_negative,
        "adm_scaler_end": guidance.adm_end,
        "adaptive_cfg": guidance.adaptive_cfg,
        "sampler_name": plan.sampling.sampler,
        "scheduler_name": plan.sampling.scheduler,
        "vae_name": models.vae or MODEL_VAE,
    }
    if isinstance(plan.goal, Inpaint | Inspect) and not models.base_patches:
        parameters["advanced_params"]["inpaint_engine"] = NO_MODEL
    return parameters


def _styles(request: GenerateRequest, plan: GenerationPlan) -> list[str]:
    """The styles without the expander's where it added nothing."""
    expanded = any(task.expand for task in plan.images)
    return [name for name in request.style_selections if expanded or name != EXPANSION_STYLE]


def _loras(request: GenerateRequest, plan: GenerationPlan) -> list[dict[str, Any]]:
    """The request's LoRAs that were applied, under the full names of their files."""
    names = [name for name, _ in plan.models.loras]
    full = {PurePosixPath(name).stem: name for name in reversed(names)} | {name: name for name in names}
    asked = [lora for lora in request.loras if lora.in_use and lora.model_name in full]
    return [lora.model_dump() | {"model_name": full[lora.model_name]} for lora in asked]
