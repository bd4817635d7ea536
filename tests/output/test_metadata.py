"""What is recorded of a picture, compared with the reference engine's recordings."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from fooocus_engine.output.encode import Embedded, encode
from fooocus_engine.output.metadata import (
    FAST_UPSCALE_ROWS,
    LoraFact,
    a1111_text,
    embedded_text,
    fooocus_text,
    log_rows,
    main,
)
from tests.output.recorded import RECORDS, recorded_images

IMAGES = {image.name: image for image in recorded_images()}
FACTS = IMAGES["H4_extra/metadata_fooocus/0"].facts


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_log_rows_are_those_of_the_reference(image):
    assert [list(row) for row in log_rows(image.facts)] == image.log


@pytest.mark.parametrize("image", IMAGES.values(), ids=IMAGES)
def test_embedded_text_is_that_of_the_reference(image):
    assert embedded_text(image.facts) == image.metadata


def test_fast_upscale_is_logged_as_the_reference_does():
    records = json.loads((RECORDS / "H3_image_inputs.json").read_text(encoding="utf-8"))["records"]
    (log,) = next(record["data"]["log"] for record in records if record["id"] == "upscale_fast")
    assert [list(row) for row in FAST_UPSCALE_ROWS] == log


def test_fooocus_text_names_the_refiner_by_stem_and_hash():
    facts = replace(FACTS, refiner_model="sub/my.refiner.safetensors", refiner_model_hash="0123456789")
    record = json.loads(fooocus_text(facts))
    assert (record["refiner_model"], record["refiner_model_hash"]) == ("my.refiner", "0123456789")


def test_fooocus_text_has_no_refiner_hash_without_a_refiner():
    assert "refiner_model_hash" not in json.loads(fooocus_text(FACTS))


def test_fooocus_text_is_ascii_whatever_the_prompt():
    assert fooocus_text(replace(FACTS, prompt="猫 é \ud800")).isascii()


def test_a1111_parameters_of_a_refiner_stand_in_the_specified_order():
    facts = replace(
        FACTS,
        refiner_model="r.safetensors",
        refiner_model_hash="ffffffffff",
        overwrite_switch=4.0,
        refiner_swap_method="vae",
        clip_skip=2,
        loras=(LoraFact("a.safetensors", 0.5, "h1"), LoraFact("sub/b.safetensors", -1.0, "h2")),
    )
    tail = a1111_text(facts).partition("Raw negative prompt: ")[2]
    assert tail == (
        "dog, Refiner: r, Refiner hash: ffffffffff, Adaptive CFG: 5.0, Clip skip: 2, Overwrite Switch: 4, "
        'Refiner Swap Method: vae, FreeU: "(1.01, 1.02, 0.99, 0.95)", Lora hashes: "a: h1, b: h2", '
        'Lora weights: "a: 0.5, b: -1.0", Version: Fooocus v2.5.5'
    )


def test_a1111_text_has_no_negative_line_for_an_empty_negative():
    text = a1111_text(replace(FACTS, full_negative_prompt=("",)))
    assert "Negative prompt:" not in text


def test_switch_and_swap_are_not_recorded_without_a_refiner():
    facts = replace(FACTS, overwrite_switch=4, refiner_swap_method="vae")
    keys = [key for _, key, _ in log_rows(facts)]
    assert "overwrite_switch" not in keys
    assert "refiner_swap_method" not in keys


def test_command_prints_the_request_of_a_picture(tmp_path, capsys):
    data = encode(Image.new("RGB", (8, 8)), "webp", Embedded("fooocus", fooocus_text(FACTS), "x"))
    (tmp_path / "a.webp").write_bytes(data)
    assert main([str(tmp_path / "a.webp")]) == 0
    assert json.loads(capsys.readouterr().out)["image_seed"] == 4001


@pytest.mark.parametrize("content", [b"no picture", encode(Image.new("RGB", (8, 8)), "png"), None])
def test_command_fails_with_a_message_when_there_is_no_request_to_print(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    assert main([str(tmp_path / "a.png")]) == 1
    assert capsys.readouterr().err
