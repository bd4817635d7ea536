"""From a picture's text back to a request."""

import json
from dataclasses import replace

import pytest

from fooocus_engine.errors import InvalidRequest
from fooocus_engine.output.metadata import LoraFact, a1111_text, fooocus_text
from fooocus_engine.output.recall import Known, request_fields
from tests.output.recorded import RECORDS, recorded_images

IMAGES = {image.name: image for image in recorded_images()}
FACTS = IMAGES["H4_extra/metadata_fooocus/0"].facts
REFINED = replace(
    FACTS,
    refiner_model="tiny_refiner.safetensors",
    overwrite_switch=4,
    refiner_swap_method="separate",
    clip_skip=3,
    vae="sub/other.vae.pt",
    prompt="cat: one, two\nblue dog",
    negative_prompt="",
)
FILES = Known(
    checkpoints=("x/y.safetensors", "tiny_sdxl.safetensors", "tiny_refiner.safetensors"),
    loras=("sub/tiny_small.safetensors",),
    vaes=("sub/other.vae.pt",),
)


def tiny_styles():
    """Texts of the styles that the recordings were made with."""
    styles = {}
    for file in sorted((RECORDS / "tiny" / "styles").glob("*.json")):
        for style in json.loads(file.read_text(encoding="utf-8")):
            styles[style["name"]] = (style.get("prompt", ""), style.get("negative_prompt", ""))
    return styles


def written(facts, scheme):
    return fooocus_text(facts) if scheme == "fooocus" else a1111_text(facts)


@pytest.mark.parametrize("scheme", ["fooocus", "a1111"])
def test_both_schemes_give_back_what_decides_a_picture(scheme):
    request = request_fields(scheme, written(FACTS, scheme), replace(FILES, styles=tiny_styles()))
    advanced = request.pop("advanced_params")
    switch = {"refiner_switch": 0.5} if scheme == "fooocus" else {}  # not written to a1111
    assert request == {
        "prompt": "a photo of a red cat, sharp",
        "negative_prompt": "dog",
        "style_selections": ["Fooocus V2", "Fooocus Enhance", "Fooocus Sharp"],
        "performance_selection": "Speed",
        "aspect_ratios_selection": "128*128",
        "image_seed": 4001,
        "guidance_scale": 4.0,
        "sharpness": 2.0,
        "base_model_name": "tiny_sdxl.safetensors",
        "refiner_model_name": "None",
        "loras": [{"enabled": True, "model_name": "sub/tiny_small.safetensors", "weight": 0.5}],
        "save_meta": True,
        "meta_scheme": scheme,
        **switch,
    }
    assert advanced == {
        "overwrite_step": 3,
        "adaptive_cfg": 5.0,
        "clip_skip": 1,
        "sampler_name": "dpmpp_2m_sde_gpu",
        "scheduler_name": "karras",
        "vae_name": "Default (model)",
        "adm_scaler_positive": 1.5,
        "adm_scaler_negative": 0.8,
        "adm_scaler_end": 0.3,
        "freeu_enabled": True,
        "freeu_b1": 1.01,
        "freeu_b2": 1.02,
        "freeu_s1": 0.99,
        "freeu_s2": 0.95,
    }


@pytest.mark.parametrize("scheme", ["fooocus", "a1111"])
def test_both_schemes_give_back_refiner_vae_and_awkward_prompts(scheme):
    request = request_fields(scheme, written(REFINED, scheme), FILES)
    advanced = request["advanced_params"]
    assert request["prompt"] == "cat: one, two\nblue dog"
    assert request["negative_prompt"] == ""
    assert request["refiner_model_name"] == "tiny_refiner.safetensors"
    assert (advanced["overwrite_switch"], advanced["refiner_swap_method"]) == (4.0, "separate")
    assert (advanced["clip_skip"], advanced["vae_name"]) == (3, "sub/other.vae.pt")


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_styles_of_every_recorded_picture_are_told_from_its_a1111_text(image):
    request = request_fields("a1111", a1111_text(image.facts), Known(styles=tiny_styles()))
    assert request["style_selections"] == list(image.facts.styles)


def test_styles_stay_unsaid_when_none_are_known_and_the_prompt_was_changed():
    assert "style_selections" not in request_fields("a1111", a1111_text(FACTS))


@pytest.mark.parametrize("scheme", ["fooocus", "a1111"])
def test_lora_of_the_performance_mode_is_not_asked_for_again(scheme):
    own, added = LoraFact("mine.safetensors", 0.3), LoraFact("sdxl_lcm_lora.safetensors", 1.0)
    facts = replace(FACTS, performance="Extreme Speed", loras=(own, added))
    request = request_fields(scheme, written(facts, scheme))
    assert [lora["model_name"] for lora in request["loras"]] == ["mine"]


def test_more_than_nine_loras_keep_their_order():
    facts = replace(FACTS, loras=tuple(LoraFact(f"l{n}.safetensors", n / 10) for n in range(12)))
    request = request_fields("fooocus", fooocus_text(facts))
    assert [lora["weight"] for lora in request["loras"]] == [n / 10 for n in range(12)]


def test_text_of_another_tool_gives_what_it_holds():
    text = (
        "a cat\nNegative prompt: a dog\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, Size: 512x768, "
        "Model hash: abc, Model: foo, Clip skip: 2, Version: 1.7"
    )
    request = request_fields("a1111", text)
    assert (request["prompt"], request["negative_prompt"]) == ("a cat", "a dog")
    assert request["aspect_ratios_selection"] == "512*768"
    assert request["advanced_params"]["sampler_name"] == "dpmpp_2m"
    assert request["advanced_params"]["scheduler_name"] == "karras"


def test_a_text_without_a_size_or_a_changed_prompt_gives_no_size_and_no_styles():
    request = request_fields("a1111", "a cat\nSteps: 1, Seed: 2, CFG scale: 3")
    assert "aspect_ratios_selection" not in request
    assert request["style_selections"] == []


@pytest.mark.parametrize(
    ("scheme", "text"),
    [
        ("fooocus", "[1]"),
        ("fooocus", "{"),
        ("fooocus", '{"prompt": 3}'),
        ("fooocus", '{"seed": Infinity}'),
        ("fooocus", '{"styles": "__import__(\'os\')"}'),
        ("fooocus", '{"guidance_scale": "nan"}'),
        ("fooocus", '{"adm_guidance": "(1, 2)"}'),
        ("fooocus", '{"lora_combined_1": "no weight"}'),
        ("a1111", "p\nSteps: many, Seed: 1, Size: 8x8"),
        ("a1111", "p\nSteps: 1, Seed: 1, Size: 8"),
    ],
)
def test_unreadable_metadata_is_refused_and_names_the_picture(scheme, text):
    with pytest.raises(InvalidRequest) as refused:
        request_fields(scheme, text)
    assert refused.value.problems[0].loc == ("body", "image")
