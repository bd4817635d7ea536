"""Jobs with pictures that steer besides the words, on a model with all adapters: what they do, and what they leave."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.errors import InvalidRequest, JobCanceled
from fooocus_engine.imaging.depth_lines import cpds
from fooocus_engine.imaging.edges import pyra_canny
from fooocus_engine.imaging.resize import resampled, resized
from fooocus_engine.jobs.events import Event, Stage, Step
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import CONTROLNET, FACE_DETECTOR
from fooocus_engine.output.encode import read_metadata
from fooocus_engine.settings import Settings
from fooocus_engine.vision.retina_face import RetinaFace
from tests.e2e.asking import pictures, silent, stored
from tests.golden.records import OWN_RECORDS
from tests.golden.workbench import BASE, Workbench
from tests.pictures import encoded, plain, text_of, textured
from tests.web import Web, served, unused_port

SIZE = (96, 64)
WAVES = text_of(encoded(textured(SIZE, 1)))
BLOTS = text_of(encoded(textured((40, 80), 2)))
MASK = Image.new("L", SIZE)
MASK.paste(255, (10, 20, 30, 40))
ASKED: dict[str, Any] = {
    "endpoint": "text-to-image-with-ip",
    "base_model_name": BASE,
    "prompt": "a red cat",
    "style_selections": [],
    "loras": [],
    "image_seed": 11,
    "aspect_ratios_selection": "96*64",
    "advanced_params": {"overwrite_step": 2, "sampler_name": "euler", "disable_preview": True},
}
REPAINTING = {"endpoint": "image-prompt", "input_image": WAVES, "input_mask": text_of(encoded(MASK))}
VARYING = {"endpoint": "image-upscale-vary", "input_image": WAVES, "uov_method": "Vary (Strong)"}


@pytest.fixture(scope="module")
def models() -> Iterator[Path]:
    """A models folder with everything, the face detector's weights being random numbers that see a face everywhere."""
    with Workbench(OWN_RECORDS) as workbench:
        folder = workbench.resources.settings.models_dir
        detector = RetinaFace()
        for head in detector.ClassHead:
            torch.nn.init.zeros_(head.conv1x1.weight)
            head.conv1x1.bias.data = torch.tensor([-9.0, 9.0, -9.0, 9.0])
        torch.save(
            {f"module.{name}": tensor for name, tensor in detector.state_dict().items()},
            folder / CONTROLNET / FACE_DETECTOR,
        )
        yield folder


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with served() as web:
        yield web


def settings(models: Path, **more: Any) -> Settings:
    return Settings(models_dir=models, device="cpu", dtype="float32", private_urls=("127.0.0.0/8",), **more)


@pytest.fixture(scope="module")
def engine(models) -> Engine:
    return Engine(settings(models))


def shown(kind: str, picture: str = WAVES, **more: Any) -> dict[str, Any]:
    return {"cn_img": picture, "cn_type": kind, **more}


def advanced(**more: Any) -> dict[str, Any]:
    return {"advanced_params": {**ASKED["advanced_params"], **more}}


def ask(engine: Engine, *prompts: dict[str, Any], job: Job | None = None, **fields: Any) -> dict[str, Any]:
    return engine.run(ASKED | {"image_prompts": list(prompts)} | fields, job or Job("job", silent))


def picture(engine: Engine, *prompts: dict[str, Any], **fields: Any) -> np.ndarray:
    return pictures(ask(engine, *prompts, **fields))[0]


STEERED: dict[str, dict[str, Any]] = {
    "image": {"image_prompts": [shown("ImagePrompt")]},
    "face": {"image_prompts": [shown("FaceSwap")]},
    "face cut out already": {"image_prompts": [shown("FaceSwap")], **advanced(skipping_cn_preprocessor=True)},
    "edges": {"image_prompts": [shown("PyraCanny")]},
    "structure": {"image_prompts": [shown("CPDS")]},
    "all kinds": {"image_prompts": [shown(kind) for kind in ("ImagePrompt", "CPDS", "FaceSwap", "PyraCanny")]},
    "four of one kind": {"image_prompts": [shown("PyraCanny", cn_stop=stop / 4) for stop in (1, 2, 3, 4)]},
    "numbered": {"endpoint": "image-prompt", "image_prompts": None, "cn_img2": BLOTS, "cn_type2": "CPDS"},
    "with a refiner": {
        "image_prompts": [shown("PyraCanny"), shown("ImagePrompt")],
        "refiner_model_name": "tiny_refiner.safetensors",
        **advanced(overwrite_switch=1),
    },
    "with a LoRA and FreeU": {
        "image_prompts": [shown("CPDS"), shown("ImagePrompt")],
        "loras": [["tiny_kohya.safetensors", 1.0]],
        **advanced(freeu_enabled=True),
    },
    "repainting": {
        **REPAINTING,
        "image_prompts": [shown("PyraCanny"), shown("ImagePrompt")],
        **advanced(overwrite_step=1),
    },
    "varying": {**VARYING, "image_prompts": [shown("CPDS"), shown("FaceSwap")], **advanced(overwrite_step=1)},
    "shown alone": {"image_prompts": [shown("CPDS"), shown("FaceSwap")], **advanced(debugging_cn_preprocessor=True)},
}
INTERRUPTED = ("image", "face", "edges", "structure", "all kinds", "with a refiner", "with a LoRA and FreeU")

FRESH = """
import sys
import numpy as np
from tests.e2e.test_image_prompts import ASKED, Engine, Path, picture, settings
import torch
torch.set_num_threads(int(sys.argv[3]))
np.save(sys.argv[2], picture(Engine(settings(Path(sys.argv[1])))))
"""


@pytest.fixture(scope="module")
def untouched(models, tmp_path_factory) -> np.ndarray:
    """The plain picture of a process that never made another."""
    path = tmp_path_factory.mktemp("fresh") / "plain.npy"
    command = [sys.executable, "-c", FRESH, str(models), str(path), str(torch.get_num_threads())]
    subprocess.run(command, cwd=OWN_RECORDS.parents[2], check=True, timeout=600)
    return np.load(path)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", STEERED)
def test_a_picture_steers_and_a_plain_job_afterwards_is_as_in_a_fresh_process(name, engine, untouched):
    made = pictures(engine.run(ASKED | STEERED[name], Job("job", silent)))[0]
    assert not np.array_equal(made, untouched)
    assert np.array_equal(picture(engine), untouched)


class BrokenSink(Exception):
    """Whoever listens has failed."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", INTERRUPTED)
@pytest.mark.parametrize("how", ["canceled", "failed"])
def test_a_plain_job_after_an_interrupted_one_is_as_in_a_fresh_process(name, how, engine, untouched):
    def sink(event: Event) -> None:
        if isinstance(event, Step) and how == "failed":
            raise BrokenSink
        if isinstance(event, Step):
            job.cancel()

    job = Job("job", sink)
    with pytest.raises(JobCanceled if how == "canceled" else BrokenSink):
        engine.run(ASKED | STEERED[name], job)
    assert np.array_equal(picture(engine), untouched)


def test_a_request_without_pictures_is_plain_text_to_image(engine, untouched):
    assert np.array_equal(picture(engine, {"cn_img": ""}, endpoint="text-to-image-with-ip"), untouched)
    assert np.array_equal(pictures(engine.run(ASKED | {"endpoint": "text-to-image"}, Job("job", silent)))[0], untouched)


def test_stop_weight_softness_and_thresholds_each_matter(engine):
    made = [
        picture(engine, shown("PyraCanny"), **advanced()),
        picture(engine, shown("PyraCanny", cn_weight=0.5), **advanced()),
        picture(engine, shown("PyraCanny", cn_stop=1), **advanced(overwrite_step=4)),
        picture(engine, shown("PyraCanny", cn_stop=0.2), **advanced(overwrite_step=4)),
        picture(engine, shown("PyraCanny"), **advanced(controlnet_softness=0)),
        picture(engine, shown("PyraCanny"), **advanced(canny_low_threshold=5, canny_high_threshold=10)),
        picture(engine, shown("ImagePrompt")),
        picture(engine, shown("ImagePrompt", cn_weight=1.2)),
        picture(engine, shown("ImagePrompt", BLOTS)),
    ]
    assert len({each.tobytes() for each in made}) == len(made)


def test_defaults_by_type_are_what_holds_where_nothing_is_said(engine):
    said = picture(engine, shown("ImagePrompt", cn_stop=0.5, cn_weight=0.6))
    assert np.array_equal(picture(engine, shown("ImagePrompt", cn_stop=0, cn_weight=None)), said)


def test_both_generations_of_the_endpoint_mean_the_same(engine):
    listed = picture(engine, {}, shown("CPDS", BLOTS, cn_weight=0.7), endpoint="image-prompt")
    numbered = {"image_prompts": None, "cn_img2": BLOTS, "cn_type2": "CPDS", "cn_weight2": "0.7"}
    assert np.array_equal(picture(engine, endpoint="image-prompt", **numbered), listed)


def test_every_picture_of_a_request_is_steered_and_preparing_is_done_once(engine):
    events: list[Event] = []
    reply = ask(engine, shown("CPDS"), shown("ImagePrompt"), image_number=2, job=Job("job", events.append))
    assert (reply["job_type"], reply["job_stage"]) == ("Text to Image", "SUCCESS")
    first, second = pictures(reply)
    assert np.array_equal(first, picture(engine, shown("CPDS"), shown("ImagePrompt")))
    assert np.array_equal(second, picture(engine, shown("CPDS"), shown("ImagePrompt"), image_seed=12))
    texts = [event.text for event in events if isinstance(event, Stage)]
    assert texts[:2] == ["Downloading control models ...", "Loading control models ..."]
    assert texts.count("Image processing ...") == 1
    embedded = read_metadata(stored(reply)[0])
    assert embedded is not None and '"resolution": "(96, 64)"' in embedded.text


def test_a_repainting_with_pictures_that_steer_keeps_what_is_not_masked(engine):
    reply = ask(engine, shown("PyraCanny", BLOTS), **REPAINTING, **advanced(overwrite_step=1))
    assert reply["job_type"] == "Image Prompt"
    (made,), old = pictures(reply), np.asarray(textured(SIZE, 1))
    assert np.array_equal(made[:, 30 + 31 :], old[:, 30 + 31 :])
    assert not np.array_equal(made, old)


def test_an_inspection_shows_edges_structure_image_and_face_and_loads_no_model(models):
    fresh, events = Engine(settings(models)), []
    entries = [shown("FaceSwap"), shown("ImagePrompt", BLOTS), shown("CPDS"), shown("PyraCanny")]
    job = Job("job", events.append)
    reply = ask(fresh, *entries, job=job, image_number=3, **advanced(debugging_cn_preprocessor=True))
    edges, structure, image, face = pictures(reply)
    given = np.asarray(textured(SIZE, 1))
    assert np.array_equal(edges[..., 0], pyra_canny(given)) and np.array_equal(structure[..., 2], cpds(given))
    assert np.array_equal(image, np.asarray(resampled(textured((40, 80), 2), (224, 224))))
    assert face.shape == (224, 224, 3) and not np.array_equal(
        face, np.asarray(resampled(textured(SIZE, 1), (224, 224)))
    )
    assert [read_metadata(data) for data in stored(reply)] == [None] * 4
    assert "Loading models ..." not in [event.text for event in events if isinstance(event, Stage)]


def test_pictures_for_control_networks_follow_the_canvas(engine):
    asked = {"aspect_ratios_selection": "64*128", **advanced(debugging_cn_preprocessor=True)}
    (structure,) = pictures(ask(engine, shown("CPDS"), **asked))
    assert np.array_equal(structure[..., 0], cpds(np.asarray(resized(textured(SIZE, 1), (64, 128)))))
    for fields in (VARYING, REPAINTING):
        (structure,) = pictures(ask(engine, shown("CPDS"), **fields, **advanced(debugging_cn_preprocessor=True)))
        assert structure.shape == (832, 1280, 3)


def test_prepared_pictures_are_used_as_they_are(engine):
    given = np.asarray(resized(textured(SIZE, 1), SIZE))
    prepared = text_of(encoded(Image.fromarray(pyra_canny(given))))
    untreated = picture(engine, shown("PyraCanny", prepared), **advanced(skipping_cn_preprocessor=True))
    assert np.array_equal(untreated, picture(engine, shown("PyraCanny")))


def test_the_attention_of_the_paper_is_a_setting(engine, models):
    separate = Engine(settings(models, image_prompt_attention="separate"))
    assert not np.array_equal(picture(separate, shown("ImagePrompt")), picture(engine, shown("ImagePrompt")))
    assert np.array_equal(picture(separate), picture(engine))


def test_a_picture_may_be_an_address(engine, web):
    address = web.gives("/waves.png", encoded(textured(SIZE, 1)))
    assert np.array_equal(picture(engine, shown("CPDS", address)), picture(engine, shown("CPDS")))


BAD_PICTURES = {
    "no base64": lambda web: "no picture",
    "text": lambda web: text_of(b"hello"),
    "cut off": lambda web: text_of(encoded(textured((64, 64)))[:200]),
    "small": lambda web: text_of(encoded(plain((7, 30)))),
    "data URL without base64": lambda web: "data:image/png,abc",
    "nothing there": lambda web: web.url("/missing.png"),
    "nobody there": lambda web: f"http://127.0.0.1:{unused_port()}/a.png",
    "less than announced": lambda web: web.gives("/less.png", encoded(plain()), Content_Length="5000"),
    "more than allowed announced": lambda web: web.gives("/more.png", encoded(plain()), Content_Length="999999999"),
    "less announced than a picture needs": lambda web: web.gives("/cut.png", encoded(plain()), Content_Length="30"),
    "another scheme": lambda web: "ftp://127.0.0.1/a.png",
    "a page": lambda web: web.gives("/page", b"<html>", Content_Type="image/png"),
}


@pytest.mark.parametrize("name", BAD_PICTURES)
@pytest.mark.parametrize("endpoint", ["text-to-image-with-ip", "image-prompt"])
def test_a_bad_picture_is_refused_at_its_place_in_the_list(name, endpoint, engine, web):
    bad = BAD_PICTURES[name](web)
    with pytest.raises(InvalidRequest) as refused:
        ask(engine, shown("CPDS"), {}, shown("ImagePrompt", bad), endpoint=endpoint)
    (problem,) = refused.value.problems
    assert problem.loc == ("body", "image_prompts", 2, "cn_img")
    assert problem.type in ("image_decode_error", "image_fetch_error")


@pytest.mark.parametrize(
    ("fields", "loc"),
    [
        ({"cn_img3": "no picture"}, ("cn_img3",)),
        ({"cn_img1": WAVES, "cn_type1": "Canny"}, ("cn_type1",)),
        ({"cn_img4": WAVES, "cn_weight4": "3"}, ("cn_weight4",)),
        ({"cn_img2": WAVES, "cn_stop2": "-1"}, ("cn_stop2",)),
        ({"cn_img1": "", "cn_type1": "CPDS"}, ("cn_img1",)),
    ],
)
def test_problems_of_numbered_fields_are_told_under_their_names(fields, loc, engine):
    with pytest.raises(InvalidRequest) as refused:
        ask(engine, endpoint="image-prompt", **{"image_prompts": None, **fields})
    assert [problem.loc for problem in refused.value.problems] == [("body", *loc)]
