"""The endpoints: name, request model, job type and HTTP routes of each (api.md §1.1). No torch.

One row per handler name. Old spellings of names and paths are the business of ``dialects.py``; run functions hang on
the same names elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pydantic import BaseModel

from fooocus_engine.endpoints.describe.contract import DescribeRequest
from fooocus_engine.endpoints.enhance.contract import EnhanceRequest
from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.generate.image_prompts import PromptedRequest
from fooocus_engine.endpoints.generate.inpaint_outpaint import ImagePromptRequest, InpaintRequest
from fooocus_engine.endpoints.generate.upscale_vary import UpscaleVaryRequest
from fooocus_engine.endpoints.listing.contract import MetadataRequest, ModelsRequest, NoFields
from fooocus_engine.endpoints.mask.contract import MaskRequest


class Body(StrEnum):
    """How a route takes its fields."""

    JSON = "json"
    FORM = "form"
    NONE = "none"
    """No body: the query, if anything."""


@dataclass(frozen=True)
class Route:
    """One HTTP route of an endpoint."""

    method: str
    path: str
    body: Body = Body.NONE


@dataclass(frozen=True)
class Endpoint:
    """One row of the table. ``name`` is what ``input.endpoint`` says and the key of the run function."""

    name: str
    request: type[BaseModel]
    routes: tuple[Route, ...]
    job_type: str | None = None
    """``None``: answered inline, without a job."""


@dataclass(frozen=True)
class ShimOnly:
    """A question about jobs: only the HTTP door answers it. ``instead`` is what a platform client does."""

    paths: tuple[str, ...]
    instead: str


def _get(path: str) -> Route:
    return Route("GET", path)


def _post(path: str, body: Body = Body.NONE) -> Route:
    return Route("POST", path, body)


def _generation(name: str) -> tuple[Route, ...]:
    """The two generations of an endpoint that takes pictures."""
    return (_post(f"/v1/generation/{name}", Body.FORM), _post(f"/v2/generation/{name}", Body.JSON))


_ROWS = (
    Endpoint("text-to-image", GenerateRequest, (_post("/v1/generation/text-to-image", Body.JSON),), "Text to Image"),
    Endpoint(
        "text-to-image-with-ip",
        PromptedRequest,
        (_post("/v2/generation/text-to-image-with-ip", Body.JSON),),
        "Text to Image",
    ),
    Endpoint("image-upscale-vary", UpscaleVaryRequest, _generation("image-upscale-vary"), "Image Upscale or Variation"),
    Endpoint(
        "image-inpaint-outpaint",
        InpaintRequest,
        _generation("image-inpaint-outpaint") + _generation("image-inpait-outpaint"),  # the latter: misspelt for years
        "Image Inpaint or Outpaint",
    ),
    Endpoint("image-prompt", ImagePromptRequest, _generation("image-prompt"), "Image Prompt"),
    Endpoint("image-enhance", EnhanceRequest, _generation("image-enhance"), "Image Enhancement"),
    Endpoint("describe-image", DescribeRequest, (_post("/v1/tools/describe-image", Body.FORM),)),
    Endpoint(
        "generate-mask",
        MaskRequest,
        (_post("/v1/tools/generate_mask", Body.JSON), _post("/v1/tools/generate-mask", Body.JSON)),
    ),
    Endpoint("read-metadata", MetadataRequest, (_post("/v1/tools/read-metadata", Body.FORM),)),
    Endpoint("all-models", ModelsRequest, (_get("/v1/engines/all-models"),)),
    Endpoint("refresh-models", ModelsRequest, (_post("/v1/engines/refresh-models"),)),
    Endpoint("styles", NoFields, (_get("/v1/engines/styles"),)),
    Endpoint(
        "clean-vram",
        NoFields,
        tuple(route(f"/v1/engines/{name}") for name in ("clean_vram", "clean-vram") for route in (_get, _post)),
    ),
    Endpoint("ping", NoFields, (_get("/ping"),)),
)
ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({row.name: row for row in _ROWS})

SHIM_ONLY: Mapping[str, ShimOnly] = MappingProxyType(
    {
        "query-job": ShimOnly(("/v1/generation/query-job",), "the platform's status/{job_id}"),
        "job-queue": ShimOnly(("/v1/generation/job-queue", "/v1/engines/job-queue"), "the platform's health"),
        "job-history": ShimOnly(
            ("/v1/generation/job-history",), "the platform's status/{job_id} for every id that run returned"
        ),
        "stop": ShimOnly(("/v1/generation/stop",), "the platform's cancel/{job_id}"),
    }
)
