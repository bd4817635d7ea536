"""Jobs with pictures that steer besides the words, on a model with all adapters: what they do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.errors import InvalidRequest
from fooocus_engine.imaging.depth_lines import cpds
from fooocus_engine.imaging.edges import pyra_canny
from fooocus_engine.imaging.resize import resampled, resized
from fooocus_engine.jobs.events import Event, Stage
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.encode import read_metadata
from tests.e2e.asking import pictures, stored
from tests.e2e.steering import (
    BLOTS,
    REPAINTING,
    SIZE,
    VARYING,
    WAVES,
    advanced,
    ask,
    every_adapter,
    picture,
    settings,
    shown,
)
from tests.pictures import encoded, plain, text_of, textured
from tests.web import Web, served, unused_port


@pytest.fixture(scope="module")
def models() -> Iterator[Path]:
    with every_adapter() as folder:
        yield folder


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with served() as web:
        yield web


@pytest.fixture(scope="module")
def engine(models) -> Engine:
    return Engine(settings(models))


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
    shapes = [
        pictures(ask(engine, shown("CPDS"), **fields, **advanced(debugging_cn_preprocessor=True)))[0].shape
        for fields in (VARYING, REPAINTING)
    ]
    assert shapes == [(832, 1216, 3)] * 2


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
