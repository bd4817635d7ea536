"""How the tests here ask: raw client fields in; a validated request, its plan or the places of its problems out."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

from fooocus_engine.endpoints.dialects import Canonical, canonical
from fooocus_engine.endpoints.generate.contract import GenerateRequest, validate_generation
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.upscale_vary import UpscaleVaryRequest
from fooocus_engine.errors import InvalidRequest, Problem
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.prompts.styles import load_styles
from fooocus_engine.prompts.wildcards import WildcardFiles
from fooocus_engine.prompts.workload import Words
from fooocus_engine.settings import Settings
from fooocus_engine.types import Sources

STYLES = (
    "Fooocus V2", "Random Style", "Fooocus Enhance", "Fooocus Semi Realistic", "Fooocus Sharp", "Fooocus Masterpiece",
    "Fooocus Photograph", "Fooocus Negative", "Fooocus Cinematic", "Fooocus Pony", "SAI Anime", "Flat 2d Art",
)  # fmt: skip


WORDS = Words(load_styles(), WildcardFiles({}))
"""The shipped styles."""


def with_files(root: Path, names: Iterable[str]) -> Catalogue:
    """A models folder of empty files, for planning: it asks only whether they are there."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return Catalogue(root)


def spelt(fields: dict[str, Any]) -> Canonical:
    """``fields`` of a text-to-image request in the newest dialect."""
    return canonical({"endpoint": "text-to-image", **fields})


def asked(fields: dict[str, Any], preset: str = "default", limits: Settings | None = None) -> GenerateRequest:
    """The request that a server running ``preset`` understands."""
    return validate_generation(
        spelt(fields).fields,
        default_preset=preset_named(preset),
        styles=STYLES,
        limits=limits or Settings(),
    )


def plan(catalogue: Catalogue, preset: str = "default", **fields: Any) -> GenerationPlan:
    """What canonical ``fields`` come down to on a server running ``preset``; one seed and no styles unless given."""
    request = validate_generation(
        {"image_seed": 5, "style_selections": [], **fields},
        default_preset=preset_named(preset),
        styles=WORDS.styles.legal_names(),
        limits=Settings(),
    )
    return plan_generation(request, catalogue, WORDS, max_loras=5)


def problems(fields: dict[str, Any], limits: Settings | None = None) -> tuple[Problem, ...]:
    """What is wrong with ``fields``; empty if nothing is."""
    try:
        asked(fields, limits=limits)
    except InvalidRequest as error:
        return error.problems
    return ()


def places(fields: dict[str, Any]) -> list[tuple[str | int, ...]]:
    """Where it is wrong, without the leading ``body``."""
    found = problems(fields)
    assert all(problem.loc[0] == "body" for problem in found)
    return [problem.loc[1:] for problem in found]


def uov_asked(fields: dict[str, Any], limits: Settings | None = None) -> UpscaleVaryRequest:
    """The request to vary or enlarge a picture that ``fields`` in any dialect mean; its picture is not looked at."""
    return validate_generation(
        canonical({"endpoint": "image-upscale-vary", **fields}).fields,
        UpscaleVaryRequest,
        default_preset=preset_named("default"),
        styles=STYLES,
        limits=limits or Settings(),
    )


def uov_plan(catalogue: Catalogue, size: tuple[int, int], method: str, **fields: Any) -> GenerationPlan:
    """What varying or enlarging a picture of ``size`` comes down to."""
    given = {"image_seed": 5, "style_selections": [], "input_image": "taken in", "uov_method": method, **fields}
    sources = Sources(Image.new("1", size))  # one bit a pixel: only its size is looked at
    return plan_generation(uov_asked(given), catalogue, WORDS, max_loras=5, sources=sources)
