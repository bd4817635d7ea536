"""The shipped model where nothing else is installed: when it is used, in what size, and that it draws what is asked."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builder.starter.analysis import Seen, SeenObject, analyse
from builder.starter.companion_rows import object_picture
from builder.starter.palette import colour_share
from fooocus_engine.engine import Engine
from fooocus_engine.jobs.job import Job
from fooocus_engine.settings import Settings
from tests.e2e.asking import PLAIN, ask, pictures, silent
from tests.pictures import encoded, text_of

EXAMPLE = Path(__file__).parents[2] / "test_input.json"
STARTER = "starter_sdxl.safetensors"
NATIVE = (192, 192)


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    return Engine(Settings(models_dir=tmp_path_factory.mktemp("models"), device="cpu"))


def test_it_is_that_of_its_preset_and_paints_in_its_own_size(engine):
    reply = ask(engine)
    assert reply["params"]["base_model_name"] == STARTER
    assert pictures(reply)[0].shape[:2] == NATIVE
    assert reply["warnings"] == []


def test_a_request_that_names_no_model_uses_it_and_the_reply_says_what_is_missing(engine):
    unnamed = {name: value for name, value in PLAIN.items() if name != "preset"}
    reply = engine.run(unnamed | {"aspect_ratios_selection": "192*192"}, Job("job", silent))
    assert reply["params"]["base_model_name"] == STARTER
    for told in ("stands in", "sd_xl_offset_example-lora_1.0", "the prompt expander is not installed"):
        assert any(told in warning for warning in reply["warnings"])


def test_without_an_expander_its_style_changes_nothing_and_the_reply_warns(engine):
    reply = ask(engine, style_selections=["Fooocus V2"])
    assert np.array_equal(pictures(reply)[0], pictures(ask(engine))[0])
    assert reply["warnings"] == ["style 'Fooocus V2' added nothing: the prompt expander is not installed"]


def test_the_example_job_shows_what_it_asks_for(engine):
    given = json.loads(EXAMPLE.read_text(encoding="utf-8"))["input"]
    assert given["prompt"] == "a small red circle on a blue background"
    (shown,) = pictures(engine.run(given, Job("example", silent)))
    assert analyse(Image.fromarray(shown)) == Seen("blue", (SeenObject("red", "circle"),))


def test_an_image_prompt_gives_its_colour_to_what_the_prompt_leaves_open(engine):
    shown = {"cn_img": text_of(encoded(object_picture("red", 0))), "cn_type": "ImagePrompt", "cn_stop": 1.0}
    shares = []
    for weight in (0.1, 0.5, 1.5):
        asked = {"prompt": "a large circle on a gray background", "image_prompts": [shown | {"cn_weight": weight}]}
        (image,) = pictures(ask(engine, endpoint="text-to-image-with-ip", advanced_params={}, **asked))
        shares.append(colour_share(Image.fromarray(image), "red"))
    nothing, some, all_of_it = shares
    assert nothing < 0.02 < 0.1 < some < all_of_it
