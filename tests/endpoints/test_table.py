"""The table of endpoints against api.md §1.1."""

from fooocus_engine.endpoints.table import ENDPOINTS, SHIM_ONLY, Body

NAMES = {
    "text-to-image",
    "text-to-image-with-ip",
    "image-upscale-vary",
    "image-inpaint-outpaint",
    "image-prompt",
    "image-enhance",
    "describe-image",
    "generate-mask",
    "read-metadata",
    "styles",
    "all-models",
    "refresh-models",
    "clean-vram",
    "ping",
}
JOB_TYPES = {
    "text-to-image": "Text to Image",
    "text-to-image-with-ip": "Text to Image",
    "image-upscale-vary": "Image Upscale or Variation",
    "image-inpaint-outpaint": "Image Inpaint or Outpaint",
    "image-prompt": "Image Prompt",
    "image-enhance": "Image Enhancement",
}


def test_the_endpoints_are_those_of_the_documents():
    assert set(ENDPOINTS) == NAMES
    assert all(row.name == name for name, row in ENDPOINTS.items())


def test_only_generations_are_jobs():
    assert {name: row.job_type for name, row in ENDPOINTS.items() if row.job_type} == JOB_TYPES


def test_no_two_endpoints_share_a_route():
    routes = [(route.method, route.path) for row in ENDPOINTS.values() for route in row.routes]
    assert len(routes) == len(set(routes))
    assert not {path for _, path in routes} & {path for row in SHIM_ONLY.values() for path in row.paths}


def test_the_first_generation_of_picture_endpoints_takes_forms_and_the_second_json():
    for row in ENDPOINTS.values():
        for route in row.routes:
            if len(row.routes) > 1 and row.job_type:
                assert route.body is (Body.FORM if route.path.startswith("/v1/") else Body.JSON)
