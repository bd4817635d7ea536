"""Random requests through metadata and back: planned, recorded, written into a picture file, read, planned again.

Both plans must be equal, so that the same picture is made. What ``a1111`` text cannot carry is listed in ``carried``.
Neither scheme carries a first line that held nothing but LoRA tags before other lines: it is recorded as an empty one.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from fooocus_engine.endpoints.generate.contract import validate_generation
from fooocus_engine.endpoints.generate.facts import image_facts
from fooocus_engine.endpoints.generate.performance import Performance
from fooocus_engine.endpoints.generate.plan import GenerationPlan
from fooocus_engine.endpoints.generate.planner import plan_generation
from fooocus_engine.endpoints.generate.presets import preset_named
from fooocus_engine.endpoints.generate.sizes import ASPECT_RATIOS
from fooocus_engine.endpoints.listing.read_metadata import recorded_request
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.output.encode import Embedded, encode
from fooocus_engine.output.metadata import embedded_text
from fooocus_engine.prompts import styles, wildcards
from fooocus_engine.prompts.workload import Words
from fooocus_engine.sampling.settings import SAMPLERS, SCHEDULERS, RefinerSwap
from fooocus_engine.settings import Settings
from tests.endpoints.asking import with_files

REQUESTS = 200
FORMATS, SCHEMES = ("png", "jpg", "webp"), ("fooocus", "a1111")
FILES = (
    "checkpoints/juggernautXL_v8Rundiffusion.safetensors", "checkpoints/sub/other base.safetensors",
    "checkpoints/refiner.safetensors", "loras/a.safetensors", "loras/sub/b, c.safetensors", "loras/d-é.safetensors",
    "loras/sdxl_lcm_lora.safetensors", "loras/sdxl_lightning_4step_lora.safetensors",
    "loras/sdxl_hyper_sd_4step_lora.safetensors", "vae/own.vae.safetensors",
)  # fmt: skip
PROMPT_PARTS = (
    "a cat", "(small:1.3) dog", "a, b, c", "Steps: 5, Sampler: x, Seed: 1", '"quoted", and: more', "äöü 猫 🙂",
    "__color__ car",
    "[[red, green]] bird", "a <lora:a:0.4> fox", "\\(escaped\\)", "{prompt}", "it's", "Negative prompt: no",
)  # fmt: skip
WORDS = Words.load((styles.SHIPPED,), (wildcards.SHIPPED,))
TWINS = {"dpmpp_sde": "dpmpp_sde_gpu", "dpmpp_2m_sde": "dpmpp_2m_sde_gpu"}
"""Samplers that the ``a1111`` text calls by the name of another, which is the one that is read."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Catalogue:
    return with_files(tmp_path_factory.mktemp("models"), FILES)


@pytest.fixture(scope="module")
def plans(installed) -> list[GenerationPlan]:
    return [planned(drawn(seed), installed) for seed in range(REQUESTS)]


def drawn(seed: int) -> dict[str, Any]:
    """A valid request."""
    rng = random.Random(seed)

    def prompt() -> str:
        return "\n".join(" ".join(rng.sample(PROMPT_PARTS, rng.randint(1, 3))) for _ in range(rng.randint(0, 3)))

    def maybe(fields: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in fields.items() if rng.random() < 0.6}

    names = WORDS.styles.legal_names()
    advanced = {
        "adm_scaler_positive": rng.uniform(0.1, 3), "adm_scaler_negative": 0.5, "adm_scaler_end": rng.random(),
        "adaptive_cfg": rng.choice([1, 5.5, 7.0, 30]), "clip_skip": rng.randint(1, 12),
        "sampler_name": rng.choice(SAMPLERS), "scheduler_name": rng.choice(SCHEDULERS),
        "overwrite_step": rng.choice([-1, 0, 1, 17, 200]), "overwrite_switch": rng.choice([-1, 0.3, 1, 12, 12.6]),
        "overwrite_width": rng.choice([-1, 100, 777]), "refiner_swap_method": rng.choice([*RefinerSwap]).value,
        "freeu_enabled": rng.random() < 0.5, "freeu_b1": rng.uniform(0, 2), "freeu_s2": 0.9,
        "vae_name": "own.vae.safetensors",
    }  # fmt: skip
    fields = {
        "prompt": prompt(), "negative_prompt": prompt(), "style_selections": rng.sample(names, rng.randint(0, 4)),
        "performance_selection": rng.choice([*Performance]).value, "aspect_ratios_selection": rng.choice(ASPECT_RATIOS),
        "sharpness": rng.uniform(0, 30), "guidance_scale": rng.choice([1, 4.0, 7, rng.uniform(1, 30)]),
        "base_model_name": "sub/other base.safetensors", "refiner_model_name": "refiner.safetensors",
        "refiner_switch": rng.uniform(0.1, 1), "read_wildcards_in_order": True,
        "loras": [[rng.choice(["a", "sub/b, c", "d-é"]) + ".safetensors", rng.choice([-2, 0.1, 0.5, 1e-05])]],
    }  # fmt: skip
    seeds = {"image_seed": rng.choice([0, 7, 2**63 - 1, rng.randrange(2**63)]), "image_number": 1}
    return {**maybe(fields), **seeds, "advanced_params": maybe(advanced)}


def planned(fields: dict[str, Any], catalogue: Catalogue) -> GenerationPlan:
    request = validate_generation(
        fields,
        default_preset=preset_named("default"),
        styles=WORDS.styles.legal_names(),
        limits=Settings(),
    )
    return plan_generation(request, catalogue, WORDS, max_loras=5)


def comparable(plan: GenerationPlan) -> GenerationPlan:
    """What decides the picture: where nothing refines, no step is the one at which a refiner takes over."""
    if plan.models.refiner is not None:
        return plan
    sampling = replace(plan.sampling, switch=0, swap=RefinerSwap.JOINT)
    return replace(plan, sampling=sampling, recorded=replace(plan.recorded, overwrite_switch=-1, refiner_switch=0))


def carried(plan: GenerationPlan) -> GenerationPlan:
    """``plan`` without what an ``a1111`` text does not carry: where a refiner takes over, and which of two samplers
    with one name there it is.
    """
    sampling = replace(plan.sampling, switch=0, sampler=TWINS.get(plan.sampling.sampler, plan.sampling.sampler))
    return replace(plan, sampling=sampling, recorded=replace(plan.recorded, refiner_switch=0))


def again(plan: GenerationPlan, scheme: str, extension: str, catalogue: Catalogue) -> GenerationPlan:
    """The plan of the request that a picture of ``plan`` records."""
    output = replace(plan.output, metadata_scheme=scheme, extension=extension)
    facts = image_facts(replace(plan, output=output), plan.images[0], expansion="", hashes={})
    text = embedded_text(facts)
    assert text is not None
    data = encode(Image.new("RGB", (8, 8)), extension, Embedded(scheme, text, "test"))
    told = recorded_request(data, catalogue, WORDS.styles)
    assert told["scheme"] == scheme
    return replace(planned(told["request"], catalogue), output=plan.output, warnings=plan.warnings)


@pytest.mark.parametrize("extension", FORMATS)
def test_a_fooocus_text_gives_the_request_back(installed, plans, extension):
    for seed, plan in enumerate(plans):
        assert comparable(again(plan, "fooocus", extension, installed)) == comparable(plan), seed


@pytest.mark.parametrize("extension", FORMATS)
def test_an_a1111_text_gives_the_request_back_but_for_what_it_cannot_carry(installed, plans, extension):
    for seed, plan in enumerate(plans):
        assert carried(comparable(again(plan, "a1111", extension, installed))) == carried(comparable(plan)), seed
