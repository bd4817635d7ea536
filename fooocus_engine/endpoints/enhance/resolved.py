"""An enhancement as it was carried out: what the reply tells as ``params``. Sent back, it means the same. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fooocus_engine.endpoints.enhance.contract import EnhanceRequest
from fooocus_engine.endpoints.enhance.parts import Part
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.generate.presets import NO_MODEL
from fooocus_engine.endpoints.generate.resolved import resolved_parameters
from fooocus_engine.models.catalogue import INPAINT_PATCHES


def enhancement_parameters(
    request: EnhanceRequest, parts: Sequence[Part], plans: Sequence[GenerationPlan]
) -> dict[str, Any]:
    """Every field of ``request`` as JSON values, with what ``plans``, those of ``parts``, made of it."""
    telling = next((plan for plan in plans if any(task.expand for task in plan.images)), plans[0])
    parameters = resolved_parameters(request, telling) | {"image_number": 1}
    controls = parameters["enhance_ctrlnets"]
    for part, plan in zip(parts, plans, strict=True):
        if part.control is not None:
            controls[part.number]["enhance_inpaint_engine"] = _engine(plan)
    return parameters


def _engine(plan: GenerationPlan) -> str:
    files = {name for name, _ in plan.models.base_patches}
    return next((engine for engine, file in INPAINT_PATCHES.items() if file in files), NO_MODEL)
