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


OLD = np.asarray(scene())


@pytest.fixture(scope="module")
def shown(engine) -> dict[str, Any]:
    """The reply with every picture and every mask of a row of three controls, the first of which finds nothing."""
    advanced = {"overwrite_step": 1, "debugging_enhance_masks_checkbox": True}
    controls = [NOTHING, UPPER, LOWER]
    return ask(engine, enhance_ctrlnets=controls, save_final_enhanced_image_only=False, advanced_params=advanced)


@pytest.fixture(scope="module")
def final(engine) -> tuple[dict[str, Any], list[Event]]:
    """The reply with the last picture alone, and what was reported meanwhile."""
    events: list[Event] = []
    return ask(engine, Job("job", events.append), enhance_ctrlnets=[UPPER, {}, LOWER]), events


def test_a_chain_of_two_controls_changes_only_their_masks(shown):
    _, _, first, _, second = pictures(shown)
    free = near(RED, GREEN)
    assert first.shape == second.shape == OLD.shape
    assert np.array_equal(first[~near(RED)], OLD[~near(RED)])
    assert np.array_equal(second[~near(GREEN)], first[~near(GREEN)])
    assert np.array_equal(second[~free], OLD[~free])
    for (left, top, right, bottom), made, before in ((RED, first, OLD), (GREEN, second, first)):
        assert not np.array_equal(made[top:bottom, left:right], before[top:bottom, left:right])


def test_masks_are_shown_before_what_is_made_of_them(shown):
    nothing, mask, _, other_mask, _ = pictures(shown)
    assert set(np.unique(mask)) == {0, 255} and not nothing.any()
    assert mask[12:16, 12:16].all() and not mask[~near(RED)].any()
    assert other_mask[74:80, 104:112].all()
    assert [read_metadata(data) is None for data in stored(shown)] == [True, True, False, True, False]
    assert [result["file_name"] for result in shown["job_result"]] == [f"job-{n}.png" for n in range(5)]


def test_every_picture_tells_the_words_of_its_own_part(shown):
    texts = [embedded.text for data in stored(shown) if (embedded := read_metadata(data))]
    assert ["a red star" in text for text in texts] == [True, False]
    assert ["a green heart" in text for text in texts] == [False, True]


def test_the_final_picture_is_the_last_of_the_row(shown, final):
    reply, _ = final
    (made,) = pictures(reply)
    assert (reply["job_type"], reply["job_stage"]) == ("Image Enhancement", "SUCCESS")
    assert np.array_equal(made, pictures(shown)[4])
    assert [result["seed"] for result in reply["job_result"]] == ["11"]


def test_the_parameters_of_a_reply_and_the_picture_make_the_same_again(engine, final):
    first, _ = final
    again = ask(engine, **first["params"])
    assert np.array_equal(pictures(first)[0], pictures(again)[0])
    assert first["params"] == again["params"]


def test_progress_rises_over_all_parts_and_names_them(final):
    _, events = final
    percents = [event.percent for event in events if not isinstance(event, ImageReady | Finished)]
    assert percents == sorted(percents)
    texts = [event.text for event in events if isinstance(event, Stage)]
    assert [text for text in texts if "enhancement" in text] == [
        "Preparing enhancement 1/2 ...",
        "Preparing enhancement 2/2 ...",
    ]
    assert "Processing enhance ..." in texts and "Preparing enhance prompts ..." in texts
    assert [event.percent for event in events if isinstance(event, Step)] == [15, 57]  # int(15 + 85 · n / 2)


def test_the_default_request_returns_a_varied_picture(engine):
    fields = {name: value for name, value in ASKED.items() if name != "enhance_uov_method"}
    (made,) = pictures(engine.run(fields, Job("job", silent)))
    assert made.shape == (168, 216, 3)  # 128x96 at the least size that is varied
    assert made.std() > 0


def test_where_nothing_is_found_the_given_picture_comes_back_with_a_warning(engine):
    reply = ask(engine, enhance_ctrlnets=[NOTHING])
    (made,) = pictures(reply)
    assert np.array_equal(made, OLD)
    assert any("nothing was found" in warning for warning in reply["warnings"])
    assert read_metadata(stored(reply)[0]) is None


def test_a_picture_can_be_enlarged_last(engine):
    fields = {"enhance_uov_method": "Upscale (Fast 2x)", "enhance_uov_processing_order": "After Last Enhancement"}
    reply = ask(engine, **fields, enhance_ctrlnets=[NOTHING])
    (made,) = pictures(reply)
    assert made.shape == (192, 256, 3)  # the least size of an enlargement
    assert read_metadata(stored(reply)[0]) is None and reply["warnings"] == []


def test_a_cancel_ends_the_chain(engine):
    def sink(event: Event) -> None:
        if isinstance(event, Stage) and event.text == "Preparing enhancement 2/2 ...":
            job.cancel()

    job = Job("job", sink)
    with pytest.raises(JobCanceled):
        ask(engine, job, enhance_ctrlnets=[NOTHING, UPPER])


def test_a_missing_mask_network_is_told_before_anything_is_made(tmp_path):
    with pytest.raises(ModelUnavailable, match=r"u2net_cloth_seg\.onnx"):
        ask(Engine(Settings(models_dir=tmp_path, device="cpu")), enhance_ctrlnets=[UPPER])
