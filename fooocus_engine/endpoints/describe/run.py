"""Answers ``describe-image``: a caption, tags, or both (image-tools.md §1)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from PIL import Image

from fooocus_engine.endpoints import vision
from fooocus_engine.endpoints.describe.contract import DescribeRequest, ImageType
from fooocus_engine.endpoints.intake import take_in
from fooocus_engine.endpoints.problems import validated
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.jobs.job import Job
from fooocus_engine.models import vision_files
from fooocus_engine.models.vision_files import File

FILES: Mapping[ImageType, tuple[File, ...]] = MappingProxyType(
    {
        ImageType.PHOTO: (vision_files.CAPTIONER, vision_files.WORDS),
        ImageType.ANIME: (vision_files.TAGGER, vision_files.TAGS),
    }
)


def run_describe(fields: Mapping[str, Any], resources: Resources, job: Job) -> dict[str, str]:
    """What canonical ``fields`` ask to be told of their picture.

    Raises:
        InvalidRequest: before any model is touched.
        ModelUnavailable, BadModelFile: a network cannot be had.
    """
    request = validated(DescribeRequest, fields)
    image = take_in(request.image, ("body", "image"), resources.http)
    for file in (file for kind in request.image_type for file in FILES[kind]):
        resources.catalogue.find(*file)  # all are missed before any is waited for
    answers = []
    for kind in request.image_type:
        with resources.gpu_turn(job):
            answers.append(_described(image, kind, resources))
    return {"describe": ", ".join(answers)}


def _described(image: Image.Image, kind: ImageType, resources: Resources) -> str:
    match kind:
        case ImageType.PHOTO:
            return vision.captioner(resources).describe(image)
        case ImageType.ANIME:
            return vision.tagger(resources).describe(image)
