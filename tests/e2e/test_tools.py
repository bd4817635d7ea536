"""Describe, masks, metadata and what is refused, through the engine on tiny networks in the published formats."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.errors import EngineError, InvalidRequest, ModelUnavailable, reply_fields
from fooocus_engine.jobs.job import Job
from fooocus_engine.settings import Settings
from tests.e2e.asking import ask, pictures, silent, stored
from tests.pictures import announced, encoded, half, plain, text_of, textured, tiled_tiff
from tests.vision.tiny_networks import TAGS, main, write_checker

PICTURE = text_of(encoded(textured((60, 40))))
REMBG = ("u2net", "u2netp", "u2net_human_seg", "silueta", "isnet-general-use", "isnet-anime")


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    folder = tmp_path_factory.mktemp("models")
    main(folder)
    return Engine(Settings(models_dir=folder, device="cpu"))


@pytest.fixture(scope="module")
def bare(tmp_path_factory) -> Engine:
    return Engine(Settings(models_dir=tmp_path_factory.mktemp("bare"), device="cpu"))


def told(engine: Engine, endpoint: str, **fields: Any) -> Any:
    return engine.run({"endpoint": endpoint, "image": PICTURE, **fields}, Job("job", silent))


def mask(engine: Engine, **fields: Any) -> Image.Image:
    reply = told(engine, "generate-mask", **fields)
    assert list(reply) == ["mask"]
    return Image.open(io.BytesIO(base64.b64decode(reply["mask"], validate=True)))


def test_both_types_are_told_in_one_answer_photo_first(engine):
    photo, anime = (told(engine, "describe-image", image_type=kind)["describe"] for kind in ("Photo", "Anime"))
    assert told(engine, "describe-image", type="Anime,Photo") == {"describe": f"{photo}, {anime}"}
    assert told(engine, "describe-image") == {"describe": photo}
    assert set(anime.replace("\\", "").split(", ")) <= {name.replace("_", " ") for name, _ in TAGS}


def test_networks_are_loaded_by_the_first_question_and_gone_with_clean_vram(engine):
    told(engine, "clean-vram")
    store = engine.resources.store
    assert not store._kept
    told(engine, "describe-image")
    kept = dict(store._kept)
    assert len(kept) == 1
    told(engine, "describe-image")
    assert dict(store._kept) == kept
    told(engine, "clean-vram")
    assert not store._kept


@pytest.mark.parametrize("model", REMBG)
def test_a_mask_of_what_stands_out_is_grey(engine, model):
    given = text_of(encoded(half((0, 0, 0), (255, 255, 255), (70, 30))))
    made = mask(engine, image=given, mask_model=model)
    assert (made.mode, made.size) == ("L", (70, 30))
    assert np.asarray(made)[:, :25].max() == 0 and np.asarray(made)[:, 45:].min() == 255


@pytest.mark.parametrize(
    ("category", "colour"), [("upper", (255, 0, 0)), ("lower", (0, 255, 0)), ("full", (0, 0, 255))]
)
def test_clothes_of_a_category_are_masked(engine, category, colour):
    given = text_of(encoded(half(colour, (0, 0, 0), (70, 30))))
    made = np.asarray(mask(engine, image=given, mask_model="u2net_cloth_seg", cloth_category=category))
    assert made[:, :30].min() == 255 and made[:, 40:].max() == 0


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_named_things_are_masked_in_three_channels(engine, name):
    made = mask(engine, mask_model="sam", dino_prompt_text="cat", sam_model=name, box_threshold=0.0)
    values = np.asarray(made)
    assert (made.mode, made.size) == ("RGB", (60, 40))
    assert set(np.unique(values)) <= {0, 255}
    assert np.array_equal(values[..., 0], values[..., 2])


def test_what_is_not_found_gives_a_black_mask(engine):
    made = mask(engine, mask_model="sam", dino_prompt_text="cat", box_threshold=1.0)
    assert made.mode == "RGB" and not np.asarray(made).any()


def test_boxes_can_be_looked_at_and_grow(engine):
    asked = {"mask_model": "sam", "dino_prompt_text": "cat", "box_threshold": 0.0, "dino_debug": True}
    boxes, grown, gone = (
        np.asarray(mask(engine, **asked, dino_erode_or_dilate=pixels))[..., 0] for pixels in (0, 5, -64)
    )
    assert boxes.any() and (grown >= boxes).all() and grown.sum() > boxes.sum()
    assert not gone.any()


def test_fewer_detections_give_a_part_of_the_mask(engine):
    asked = {"mask_model": "sam", "dino_prompt_text": "cat", "box_threshold": 0.0}
    whole, part = (np.asarray(mask(engine, **asked, sam_max_detections=most)) > 0 for most in (0, 2))
    assert (whole >= part).all()


@pytest.mark.parametrize(
    ("endpoint", "fields", "file", "feature"),
    [
        ("describe-image", {}, "model_base_caption_capfilt_large.pth", "describe"),
        ("describe-image", {"type": "Anime"}, "wd-v1-4-moat-tagger-v2.onnx", "describe"),
        ("generate-mask", {"mask_model": "u2net_cloth_seg"}, "u2net_cloth_seg.onnx", "mask"),
        *(("generate-mask", {"mask_model": name}, f"{name}.onnx", "mask") for name in REMBG),
        ("generate-mask", {"mask_model": "sam", "dino_prompt_text": "x"}, "groundingdino_swint_ogc.pth", "mask-sam"),
    ],
)  # fmt: skip
def test_a_missing_file_is_told_with_its_folder_and_how_to_bake_it(bare, endpoint, fields, file, feature):
    with pytest.raises(ModelUnavailable) as error:
        told(bare, endpoint, **fields)
    reply = reply_fields(error.value)
    assert (reply["status"], reply["type"]) == (501, "model_unavailable")
    assert file in reply["detail"] and f"feature {feature!r}" in reply["detail"]
    assert str(bare.resources.settings.models_dir) not in reply["detail"]


BAD_PICTURES: list[Any] = [
    None, "", "none", "string", 5, ["x"], "no picture", "data:image/png,abc", "data:image/png;base64,!!!",
    "aGVsbG8=", "http://127.0.0.1:9/x.png", "https://localhost/x.png", "ftp://example.com/x.png",
    text_of(encoded(plain((7, 40)))), text_of(announced(9000, 9000)), text_of(announced(70_000, 8)),
    text_of(encoded(textured((40, 40)))[:200]), text_of(tiled_tiff(9000)), text_of(b"%PDF-1.4"), text_of(b"\x89PNG"),
]  # fmt: skip
assert len(BAD_PICTURES) == 20


@pytest.mark.parametrize("given", BAD_PICTURES, ids=range(20))
@pytest.mark.parametrize(
    ("endpoint", "field"),
    [
        ("describe-image", "image"), ("generate-mask", "image"), ("read-metadata", "image"),
        ("image-enhance", "enhance_input_image"),
    ],
)  # fmt: skip
def test_twenty_bad_pictures_are_refused_at_their_field(bare, endpoint, field, given):
    with pytest.raises(InvalidRequest) as error:
        bare.run({"endpoint": endpoint, field: given, "preset": "starter"}, Job("job", silent))
    reply = reply_fields(error.value)
    assert reply["status"] == 422
    assert [problem["loc"] for problem in reply["detail"]] == [["body", field]]


@pytest.mark.parametrize("extension", ["png", "jpg", "webp"])
@pytest.mark.parametrize("scheme", ["fooocus", "a1111"])
def test_a_pictures_metadata_makes_the_picture_again(engine, extension, scheme):
    first = ask(
        engine, save_extension=extension, meta_scheme=scheme, prompt="a red, __color__ star\nby night",
        style_selections=["Random Style", "Fooocus Sharp"], negative_prompt="blur", sharpness=3.5,
        advanced_params={"overwrite_step": 2, "freeu_enabled": True, "clip_skip": 1, "sampler_name": "euler"},
    )  # fmt: skip
    told_of = told(engine, "read-metadata", image=text_of(stored(first)[0]))
    assert told_of["scheme"] == scheme
    fields = {"endpoint": "text-to-image", **told_of["request"], "save_extension": extension}
    assert np.array_equal(pictures(first)[0], pictures(engine.run(fields, Job("job", silent)))[0])


def test_a_picture_without_metadata_is_refused(engine):
    with pytest.raises(InvalidRequest) as error:
        told(engine, "read-metadata")
    (problem,) = error.value.problems
    assert (problem.type, problem.loc) == ("no_metadata", ("body", "image"))


def test_a_blacked_out_picture_is_told_and_other_pictures_are_not_touched(engine, tmp_path):
    fields = {"advanced_params": {"overwrite_step": 1, "black_out_nsfw": True}, "image_number": 2}
    untouched = ask(engine, **fields)
    assert "nsfw" not in untouched["job_result"][0] and untouched["warnings"] == []
    strict = strict_engine(tmp_path)
    reply = ask(strict, **fields)
    assert [result["nsfw"] for result in reply["job_result"]] == [True, True]
    assert [made.any() for made in pictures(reply)] == [False, False]
    assert pictures(reply)[0].shape == pictures(untouched)[0].shape
    assert len(reply["warnings"]) == 2 and "picture 1 was blacked out" in reply["warnings"][1]
    off = ask(strict, advanced_params={"overwrite_step": 1})
    assert "nsfw" not in off["job_result"][0] and pictures(off)[0].any()


def test_a_direct_enlargement_is_checked_too(tmp_path):
    reply = strict_engine(tmp_path).run(
        {
            "endpoint": "image-upscale-vary", "preset": "starter", "input_image": PICTURE,
            "uov_method": "Upscale (Fast 2x)", "advanced_params": {"black_out_nsfw": True},
        },
        Job("job", silent),
    )  # fmt: skip
    (made,) = pictures(reply)
    assert reply["job_result"][0]["nsfw"] and not made.any()


def strict_engine(folder: Path) -> Engine:
    """With a checker that objects to everything."""
    path = folder / "safety_checker" / "stable-diffusion-safety-checker.bin"
    path.parent.mkdir()
    write_checker(path)
    torch.save(torch.load(path, weights_only=True) | {"concept_embeds_weights": torch.full((17,), -1.1)}, path)
    return Engine(Settings(models_dir=folder, device="cpu"))


def test_a_check_without_its_file_is_refused_before_anything_is_made(bare):
    with pytest.raises(EngineError, match=r"stable-diffusion-safety-checker\.bin.*feature 'nsfw'"):
        ask(bare, advanced_params={"black_out_nsfw": True})
