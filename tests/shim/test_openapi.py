"""The machine-readable description of the API, against the table and the contracts."""

from __future__ import annotations

import pytest

from fooocus_engine.endpoints.generate.contract import GenerateRequest
from fooocus_engine.endpoints.mask.settings import MASK_MODELS
from fooocus_engine.endpoints.table import ENDPOINTS, SHIM_ONLY
from fooocus_engine.sampling.settings import SAMPLERS
from fooocus_engine.settings import Settings
from fooocus_engine.shim.app import create_app
from fooocus_engine.shim.settings import ShimSettings

T2I = "/v1/generation/text-to-image"


@pytest.fixture(scope="module")
def document():
    return create_app(ShimSettings(), Settings()).openapi()


def test_every_route_of_the_table_is_described(document):
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    routes = {(route.method, route.path) for row in ENDPOINTS.values() for route in row.routes}
    paths = {path for row in SHIM_ONLY.values() for path in row.paths}
    assert routes <= described
    assert paths <= {path for _, path in described}


def test_operations_have_names_of_their_own(document):
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(names) == len(set(names))


def test_a_request_is_described_by_its_contract(document):
    schema = document["paths"][T2I]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(schema["properties"]) == set(GenerateRequest.model_fields)
    assert schema["required"] == []
    assert schema["properties"]["sharpness"] == {
        "default": 2.0, "maximum": 30.0, "minimum": 0.0, "title": "Sharpness", "type": "number",
    }  # fmt: skip
    advanced = schema["properties"]["advanced_params"]
    assert advanced["required"] == []
    assert advanced["properties"]["sampler_name"]["enum"] == list(SAMPLERS)
    assert "$ref" not in str(schema)


def test_the_accepted_names_of_nested_fields_and_of_tools_are_told(document):
    def fields(path):
        return document["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]

    control = fields("/v2/generation/image-enhance")["enhance_ctrlnets"]["items"]["properties"]
    assert control["enhance_mask_model"]["enum"] == list(MASK_MODELS)
    assert fields("/v1/tools/generate_mask")["mask_model"]["enum"] == list(MASK_MODELS)
    assert fields("/v1/tools/describe-image")["image_type"]["items"]["enum"] == ["Photo", "Anime"]


def test_the_documented_answers_are_described(document):
    answers = document["paths"][T2I]["post"]["responses"]
    assert {"200", "400", "403", "409", "413", "422", "500", "501", "502", "503", "504"} <= set(answers)
    assert set(answers["200"]["content"]) == {"application/json", "image/png", "image/jpeg", "image/webp"}


def test_queries_are_described(document):
    asked = document["paths"]["/v1/generation/query-job"]["get"]["parameters"]
    assert [(p["name"], p["in"], p["required"]) for p in asked] == [
        ("job_id", "query", True), ("require_step_preview", "query", False), ("wait", "query", False),
    ]  # fmt: skip
