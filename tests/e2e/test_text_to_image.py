"""Jobs through the engine on the shipped model: replies, repeatability, progress, cancel, and nothing left behind."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.errors import EngineError, InvalidRequest, JobCanceled, StorageFailed
from fooocus_engine.jobs.events import Event, Finished, ImageReady, Stage, Step
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.encode import read_metadata
from fooocus_engine.settings import Settings
from tests.e2e.asking import PLAIN, ask, pictures, silent, stored


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    return Engine(Settings(models_dir=tmp_path_factory.mktemp("models"), device="cpu"))


def test_a_reply_has_the_documented_keys(engine):
    reply = ask(engine)
    assert list(reply) == [
        "job_type", "job_stage", "job_progress", "job_status", "job_result", "warnings", "params", "timings",
    ]  # fmt: skip
    assert (reply["job_type"], reply["job_stage"], reply["job_progress"]) == ("Text to Image", "SUCCESS", 100)
    (result,) = reply["job_result"]
    assert set(result) == {"base64", "url", "seed", "finish_reason", "file_name", "width", "height"}
    assert (result["seed"], result["finish_reason"], result["file_name"]) == ("11", "SUCCESS", "job-0.png")
    assert reply["params"]["image_seed"] == 11
    assert set(reply["timings"]) == {"load_ms", "sample_ms", "total_ms"}


def test_the_same_request_gives_the_same_bytes(engine):
    assert stored(ask(engine)) == stored(ask(engine))


def test_pictures_of_one_request_are_those_of_single_ones(engine):
    both = pictures(ask(engine, image_number=2))
    alone = [pictures(ask(engine, image_seed=seed))[0] for seed in (11, 12)]
    assert all(np.array_equal(a, b) for a, b in zip(both, alone, strict=True))
    assert not np.array_equal(*both)


def test_a_part_of_a_request_makes_the_pictures_of_that_part(engine):
    second = ask(engine, image_index_offset=1, image_total=2)
    assert second["job_result"][0]["seed"] == "12"
    assert second["job_result"][0]["file_name"] == "job-1.png"
    assert np.array_equal(pictures(second)[0], pictures(ask(engine, image_number=2))[1])


def test_one_seed_for_all_pictures(engine):
    reply = ask(engine, image_number=2, advanced_params={"overwrite_step": 2, "disable_seed_increment": True})
    assert [result["seed"] for result in reply["job_result"]] == ["11", "11"]
    assert np.array_equal(*pictures(reply))


def test_a_drawn_seed_is_told_and_makes_the_picture_again(engine):
    reply = ask(engine, image_seed=-1)
    seed = int(reply["job_result"][0]["seed"])
    assert np.array_equal(pictures(reply)[0], pictures(ask(engine, image_seed=seed))[0])


CHANGES = {
    "lightning": {"performance_selection": "Lightning"},
    "lcm": {"performance_selection": "Extreme Speed"},
    "hyper": {"performance_selection": "Hyper-SD"},
    "edm": {"advanced_params": {"overwrite_step": 4, "scheduler_name": "edm_playground_v2.5"}},
    "negative": {"negative_prompt": "dark"},
    "clip skip": {"advanced_params": {"overwrite_step": 4, "clip_skip": 1}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_setting_changes_its_picture_and_no_later_one(engine, name):
    before = pictures(ask(engine))[0]
    assert not np.array_equal(pictures(ask(engine, **CHANGES[name]))[0], before)
    assert np.array_equal(pictures(ask(engine))[0], before)


@pytest.mark.parametrize(("extension", "kind"), [("png", "PNG"), ("jpg", "JPEG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_every_format_carries_its_metadata(engine, extension, kind):
    reply = ask(engine, save_extension=extension, meta_scheme="a1111")
    (data,) = stored(reply)
    assert Image.open(io.BytesIO(data)).format == kind
    assert reply["job_result"][0]["file_name"].endswith(f".{extension}")
    embedded = read_metadata(data)
    assert embedded is not None
    assert embedded.scheme == "a1111"
    assert "Seed: 11" in embedded.text


def test_no_metadata_unless_wanted(engine):
    assert read_metadata(stored(ask(engine, save_meta=False))[0]) is None


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"base_model_name": "starter_sdxk.safetensors"}, ("body", "base_model_name")),
        ({"refiner_model_name": "none.safetensors"}, ("body", "refiner_model_name")),
        ({"prompt": "a (red:nan) cat"}, ("body", "prompt")),
        ({"negative_prompt": "(dark:inf)"}, ("body", "negative_prompt")),
        ({"loras": [["None", 1], ["x.safetensors", 1]]}, ("body", "loras", 1, "model_name")),
        ({"advanced_params": {"vae_name": "x.safetensors"}}, ("body", "advanced_params", "vae_name")),
    ],
)
def test_what_cannot_be_used_is_refused_before_a_model_is_loaded(tmp_path, fields, loc):
    fresh = Engine(Settings(models_dir=tmp_path, device="cpu"))
    events: list[Event] = []
    with pytest.raises(InvalidRequest) as refused:
        fresh.run(PLAIN | fields, Job("job", events.append))
    assert [problem.loc for problem in refused.value.problems] == [loc]
    assert events == []


def test_near_matches_of_a_model_are_told(engine):
    with pytest.raises(InvalidRequest, match=r"near matches: starter_sdxl\.safetensors"):
        ask(engine, base_model_name="starter_sdxk.safetensors")


def test_a_run_without_finite_numbers_is_an_error_that_names_the_combination(engine):
    advanced = {"overwrite_step": 4, "sampler_name": "tcd", "scheduler_name": "karras"}
    with pytest.raises(EngineError, match=r"tcd.*karras"):
        ask(engine, advanced_params=advanced)


def test_progress_never_falls_and_the_end_is_left_to_who_sends_the_reply(engine):
    events: list[Event] = []
    engine.run(PLAIN | {"image_number": 2}, Job("job", events.append))
    percents = [event.percent for event in events if isinstance(event, Stage | Step)]
    assert percents == sorted(percents)
    assert not any(isinstance(event, Finished) for event in events)
    assert [event.text for event in events if isinstance(event, Step)][:2] == [
        "Step 0/4 in the 1-th Sampling",
        "Step 1/4 in the 1-th Sampling",
    ]


def test_a_picture_is_told_as_soon_as_it_is_stored(engine):
    events: list[Event] = []
    stored_first = threading.Event()

    def sink(event: Event) -> None:
        events.append(event)
        if isinstance(event, ImageReady) and event.image == 0:
            stored_first.set()
        elif isinstance(event, Step) and (event.image, event.step) == (1, 1):
            assert stored_first.wait(60)

    engine.run(PLAIN | {"image_number": 2}, Job("job", sink))
    ready = [event for event in events if isinstance(event, ImageReady)]
    assert ready == [ImageReady(0, "job-0.png"), ImageReady(1, "job-1.png")]
    assert events.index(ready[0]) < max(n for n, event in enumerate(events) if isinstance(event, Step))


def test_a_side_that_is_no_multiple_of_8_steers_like_the_one_that_is_sampled(engine):
    odd, even = (
        ask(engine, advanced_params={"overwrite_step": 4, "overwrite_width": width, "overwrite_height": height})
        for width, height in ((100, 150), (96, 144))
    )
    assert np.array_equal(pictures(odd)[0], pictures(even)[0])


def test_what_was_not_installed_for_the_prompt_is_told_as_a_warning(engine):
    (warning,) = ask(engine, prompt="a star, embedding:nowhere")["warnings"]
    assert "embedding:nowhere" in warning


@pytest.mark.parametrize(("advanced", "wanted"), [({}, True), ({"disable_preview": True}, False)])
def test_previews_are_twice_the_latent_and_can_be_switched_off(engine, advanced, wanted):
    events: list[Event] = []
    advanced = {"overwrite_step": 4} | advanced
    engine.run(PLAIN | {"advanced_params": advanced}, Job("job", events.append, preview_interval_s=0))
    previews = [event.preview for event in events if isinstance(event, Step) and event.preview]
    assert bool(previews) == wanted
    assert all(Image.open(io.BytesIO(preview)).size == (48, 48) for preview in previews)


def test_two_jobs_at_a_time_take_turns(engine):
    replies: dict[int, dict[str, Any]] = {}

    def work(seed: int) -> None:
        replies[seed] = ask(engine, image_seed=seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (11, 12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(pictures(replies[11])[0], pictures(ask(engine))[0])
    assert replies[12]["job_result"][0]["seed"] == "12"


def test_a_waiting_job_can_be_given_up(engine):
    waiting = Job("waiting", silent)
    with engine.resources.gpu_turn(Job("running", silent)):
        waiting.cancel()
        with pytest.raises(JobCanceled):
            engine.run(PLAIN, waiting)


def test_a_picture_that_cannot_be_stored_fails_the_job(tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    settings = Settings(
        models_dir=tmp_path / "models", outputs_dir=tmp_path / "outputs", device="cpu", storage="folder"
    )
    with pytest.raises(StorageFailed) as failed:
        ask(Engine(settings))
    assert str(tmp_path) not in str(failed.value)


@pytest.fixture
def installed(tmp_path) -> Iterator[Engine]:
    folder = tmp_path / "sdxl_styles"
    folder.mkdir()
    (folder / "sdxl_styles_sai.json").write_text('[{"name": "sai-anime", "prompt": "own words {prompt}"}]')
    yield Engine(Settings(models_dir=tmp_path, device="cpu"))


def test_installed_styles_lie_over_the_shipped_ones(installed):
    style = installed.resources.words.styles.find("SAI Anime")
    assert style.prompt == "own words {prompt}"
    assert len(installed.resources.words.styles.legal_names()) == 279
