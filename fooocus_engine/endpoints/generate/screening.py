"""Blacks out finished pictures that the safety checker objects to, where a request wants that (image-tools.md §3)."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.generate.render import Rendered
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.endpoints.vision import safety_checker
from fooocus_engine.jobs.job import Job, Phase


def screened(picture: Rendered, plan: GenerationPlan, warnings: list[str], resources: Resources, job: Job) -> Rendered:
    """``picture``, or a black one of its size; then ``warnings`` tells so. The caller holds the turn on the device.

    Raises:
        ModelUnavailable, BadModelFile: the checker is wanted and cannot be had.
    """
    if not plan.screened:
        return picture
    job.stage(Phase.CHECKING)
    if not safety_checker(resources).objects_to(picture.image):
        return picture
    warnings.append(f"picture {picture.task.index} was blacked out: the safety checker objects to it")
    return replace(picture, image=Image.new("RGB", picture.image.size), blacked_out=True)
