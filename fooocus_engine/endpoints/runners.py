"""Endpoint name → run function: canonical fields, resources and job in; what the reply says out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from fooocus_engine.endpoints.describe.run import run_describe
from fooocus_engine.endpoints.enhance.run import run_enhance
from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.presets import presets
from fooocus_engine.endpoints.generate.run import run_generation
from fooocus_engine.endpoints.intake import bytes_of
from fooocus_engine.endpoints.listing.contract import MetadataRequest, ModelsRequest
from fooocus_engine.endpoints.listing.read_metadata import AT_IMAGE, recorded_request
from fooocus_engine.endpoints.listing.run import clean_vram, list_models, list_models_in_detail, list_styles, ping
from fooocus_engine.endpoints.mask.run import run_mask
from fooocus_engine.endpoints.problems import validated
from fooocus_engine.endpoints.resources import Resources
from fooocus_engine.endpoints.table import ENDPOINTS
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import KINDS, known_files

Runner = Callable[[Mapping[str, Any], Resources, Job], Any]


def _generation(name: str) -> Runner:
    model = ENDPOINTS[name].request
    if not issubclass(model, GenerateRequest):
        raise TypeError(f"{name} is no generation")
    return partial(run_generation, name, model)


def _styles(fields: Mapping[str, Any], resources: Resources, job: Job) -> list[str]:
    return list_styles(resources.words.styles.legal_names())


def _models(fields: Mapping[str, Any], resources: Resources, job: Job) -> dict[str, Any]:
    if validated(ModelsRequest, fields, None).details:
        return list_models_in_detail(resources.catalogue, kinds=KINDS, presets=presets(), known=known_files())
    return dict(list_models(resources.catalogue))


def _read_metadata(fields: Mapping[str, Any], resources: Resources, job: Job) -> dict[str, Any]:
    given = validated(MetadataRequest, fields).image
    data = bytes_of(given, AT_IMAGE, resources.http)
    return recorded_request(data, resources.catalogue, resources.words.styles)


def _clean_vram(fields: Mapping[str, Any], resources: Resources, job: Job) -> dict[str, str]:
    with resources.gpu_turn(job):
        return clean_vram(resources.store)


def _ping(fields: Mapping[str, Any], resources: Resources, job: Job) -> dict[str, str]:
    return ping()


RUNNERS: Mapping[str, Runner] = MappingProxyType(
    {
        "text-to-image": _generation("text-to-image"),
        "text-to-image-with-ip": _generation("text-to-image-with-ip"),
        "image-upscale-vary": _generation("image-upscale-vary"),
        "image-inpaint-outpaint": _generation("image-inpaint-outpaint"),
        "image-prompt": _generation("image-prompt"),
        "image-enhance": run_enhance,
        "describe-image": run_describe,
        "generate-mask": run_mask,
        "read-metadata": _read_metadata,
        "styles": _styles,
        "all-models": _models,
        "refresh-models": _models,
        "clean-vram": _clean_vram,
        "ping": _ping,
    }
)
