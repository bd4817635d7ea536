"""Enhancements through the engine: the shipped model, with masks of tiny networks in the published formats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.errors import JobCanceled, ModelUnavailable
from fooocus_engine.jobs.events import Event, Finished, ImageReady, Stage, Step
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.encode import read_metadata
from fooocus_engine.settings import Settings
from tests.e2e.asking import pictures, silent, stored
from tests.pictures import encoded, text_of
from tests.vision.tiny_networks import main

SIZE = (128, 96)
RED, GREEN = (8, 8, 20, 20), (100, 70, 116, 84)  # left, top, right, bottom
SOFT = 31  # pixels around a mask that change with it


def scene() -> Image.Image:
    """Dark grey with a red and a green patch, far from each other."""
    image = Image.new("RGB", SIZE, (20, 20, 20))
    image.paste((250, 0, 0), RED)
    image.paste((0, 250, 0), GREEN)
    return image


UPPER = {
    "enhance_enabled": True,
    "enhance_mask_model": "u2net_cloth_seg",
    "enhance_mask_cloth_category": "upper",
    "enhance_prompt": "a red star",
    "enhance_inpaint_engine": "None",
}
LOWER = UPPER | {"enhance_mask_cloth_category": "lower", "enhance_prompt": "a green heart"}
NOTHING = UPPER | {"enhance_mask_cloth_category": "full"}
ASKED = {
    "endpoint": "image-enhance",
    "preset": "starter",
    "prompt": "a picture",
    "image_seed": 11,
    "enhance_input_image": text_of(encoded(scene())),
    "enhance_uov_method": "Disabled",
    "advanced_params": {"overwrite_step": 1},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    folder = tmp_path_factory.mktemp("models")
    main(folder)
    return Engine(Settings(models_dir=folder, device="cpu"))


def ask(engine: Engine, job: Job | None = None, **fields: Any) -> dict[str, Any]:
    return engine.run(ASKED | fields, job or Job("job", silent))


def near(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """What may change around ``boxes``: the class planes are resized, so a mask can be a few pixels larger."""
    marked = np.zeros((SIZE[1], SIZE[0]), bool)
    for left, top, right, bottom in boxes:
        reach = SOFT + 4
        marked[max(top - reach, 0) : bottom + reach, max(left - reach, 0) : right + reach] = True
    return marked


def test_the_default_request_returns_a_varied_picture(engine):
    fields = {name: value for name, value in ASKED.items() if name != "enhance_uov_method"}
    reply = engine.run(fields, Job("job", silent))
    assert (reply["job_type"], reply["job_stage"]) == ("Image Enhancement", "SUCCESS")
    (made,) = pictures(reply)
    assert made.shape == (896, 1152, 3)  # 128x96 at the least size that is varied
    assert made.std() > 0 and [result["seed"] for result in reply["job_result"]] == ["11"]


def test_a_chain_of_two_controls_changes_only_their_masks(engine):
    reply = ask(engine, enhance_ctrlnets=[UPPER, LOWER])
    (made,) = pictures(reply)
    old, free = np.asarray(scene()), near(RED, GREEN)
    assert made.shape == old.shape
    assert np.array_equal(made[~free], old[~free])
    for left, top, right, bottom in (RED, GREEN):
        assert not np.array_equal(made[top:bottom, left:right], old[top:bottom, left:right])
    embedded = read_metadata(stored(reply)[0])
    assert embedded is not None and "a green heart" in embedded.text and "a red star" not in embedded.text


def test_every_picture_of_the_chain_can_be_had_and_the_last_is_the_final_one(engine):
    (final,) = pictures(ask(engine, enhance_ctrlnets=[UPPER, LOWER]))
    reply = ask(engine, enhance_ctrlnets=[UPPER, LOWER], save_final_enhanced_image_only=False)
    first, second = pictures(reply)
    assert [result["file_name"] for result in reply["job_result"]] == ["job-0.png", "job-1.png"]
    assert np.array_equal(second, final)
    old, free = np.asarray(scene()), near(RED)
    assert np.array_equal(first[~free], old[~free]) and not np.array_equal(first, old)
    assert np.array_equal(second[~near(GREEN)], first[~near(GREEN)])


def test_masks_can_be_seen_and_are_not_gone_on_from(engine):
    advanced = {"overwrite_step": 1, "debugging_enhance_masks_checkbox": True}
    reply = ask(engine, enhance_ctrlnets=[UPPER, NOTHING], advanced_params=advanced)
    mask, nothing, made = pictures(reply)
    assert set(np.unique(mask)) == {0, 255} and not nothing.any()
    assert mask[12:16, 12:16].all() and not mask[~near(RED)].any()
    assert np.array_equal(made, pictures(ask(engine, enhance_ctrlnets=[UPPER]))[0])
    assert [read_metadata(data) is None for data in stored(reply)] == [True, True, False]


def test_where_nothing_is_found_the_given_picture_comes_back_with_a_warning(engine):
    reply = ask(engine, enhance_ctrlnets=[NOTHING])
    (made,) = pictures(reply)
    assert np.array_equal(made, np.asarray(scene()))
    assert any("nothing was found" in warning for warning in reply["warnings"])
    assert read_metadata(stored(reply)[0]) is None


def test_a_mask_is_grown_and_then_inverted(engine):
    advanced = {"overwrite_step": 1, "debugging_enhance_masks_checkbox": True}
    control = UPPER | {"enhance_inpaint_erode_or_dilate": 4, "enhance_mask_invert": True}
    mask = pictures(ask(engine, enhance_ctrlnets=[control], advanced_params=advanced))[0]
    plain = pictures(ask(engine, enhance_ctrlnets=[UPPER], advanced_params=advanced))[0]
    assert not mask[4:24, 4:24].any() and mask[60:, :60].all()
    assert (mask == 0).sum() > (plain == 255).sum()


def test_an_enlarged_picture_is_enhanced_at_its_new_size(engine):
    fields = {"enhance_uov_method": "Upscale (Fast 2x)", "enhance_ctrlnets": [UPPER]}
    before, after = (
        pictures(ask(engine, **fields, enhance_uov_processing_order=order))[0]
        for order in ("Before First Enhancement", "After Last Enhancement")
    )
    assert before.shape == after.shape == (896, 1152, 3)  # the least size of an enlargement
    assert not np.array_equal(before, after)


def test_the_parameters_of_a_reply_and_the_picture_make_the_same_again(engine):
    first = ask(engine, image_seed=-1, enhance_ctrlnets=[UPPER, {}, LOWER])
    again = ask(engine, **first["params"])
    assert np.array_equal(pictures(first)[0], pictures(again)[0])
    assert first["params"] == again["params"]


def test_progress_rises_over_all_parts_and_names_them(engine):
    events: list[Event] = []
    ask(engine, Job("job", events.append), enhance_ctrlnets=[UPPER, LOWER], advanced_params={"overwrite_step": 2})
    percents = [event.percent for event in events if not isinstance(event, ImageReady | Finished)]
    assert percents == sorted(percents)
    texts = [event.text for event in events if isinstance(event, Stage)]
    assert [text for text in texts if "enhancement" in text] == [
        "Preparing enhancement 1/2 ...",
        "Preparing enhancement 2/2 ...",
    ]
    assert "Processing enhance ..." in texts and "Preparing enhance prompts ..." in texts
    assert [event.percent for event in events if isinstance(event, Step)] == [15, 36, 57, 78]  # int(15 + 85 · n / 4)


def test_a_cancel_ends_the_chain(engine):
    def sink(event: Event) -> None:
        if isinstance(event, Step):
            job.cancel()

    job = Job("job", sink)
    with pytest.raises(JobCanceled):
        ask(engine, job, enhance_ctrlnets=[UPPER, LOWER])


def test_a_missing_mask_network_is_told_before_anything_is_made(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"u2net_cloth_seg\.onnx"):
        ask(Engine(Settings(models_dir=tmp_path, device="cpu")), enhance_ctrlnets=[UPPER])
