"""Jobs that vary or enlarge a picture, through the engine on the shipped model."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.errors import InvalidRequest, JobCanceled, ModelUnavailable
from fooocus_engine.jobs.events import Event, Stage
from fooocus_engine.jobs.job import Job
from fooocus_engine.output.encode import read_metadata
from fooocus_engine.settings import Settings
from tests.pictures import announced, encoded, plain, text_of, textured
from tests.web import Web, served

GIVEN = encoded(textured((48, 32)))
ASKED = {
    "endpoint": "image-upscale-vary",
    "preset": "starter",
    "prompt": "a red cat",
    "image_seed": 11,
    "input_image": text_of(GIVEN),
    "uov_method": "Upscale (Fast 2x)",
    "advanced_params": {"overwrite_step": 1},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory) -> Engine:
    here = (ip_network("127.0.0.1/32"),)
    return Engine(Settings(models_dir=tmp_path_factory.mktemp("models"), device="cpu", private_urls=here))


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with served() as web:
        yield web


def silent(event: Event) -> None:
    """Nobody listens."""


def ask(engine: Engine, job: Job | None = None, **fields: Any) -> dict[str, Any]:
    return engine.run(ASKED | fields, job or Job("job", silent))


def stored(reply: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(result["base64"].split(",")[1]) for result in reply["job_result"]]


def picture(reply: dict[str, Any]) -> np.ndarray:
    (data,) = stored(reply)
    return np.asarray(Image.open(io.BytesIO(data)), int)


def test_a_fast_enlargement_is_one_plain_picture_like_the_given_one(engine):
    reply = ask(engine, image_number=3)
    assert (reply["job_type"], reply["job_stage"]) == ("Image Upscale or Variation", "SUCCESS")
    (result,) = reply["job_result"]
    assert (result["width"], result["height"], result["seed"]) == (232, 152, "11")
    assert read_metadata(stored(reply)[0]) is None
    assert set(reply["timings"]) == {"load_ms", "sample_ms", "total_ms"}
    given = np.asarray(textured((48, 32)).resize((232, 152), Image.Resampling.BICUBIC), int)
    assert np.abs(picture(reply) - given).mean() < 12  # levels


def test_a_fast_enlargement_loads_no_model_but_the_upscaler(engine, tmp_path):
    fresh = Engine(Settings(models_dir=tmp_path, device="cpu"))
    events: list[Event] = []
    ask(fresh, Job("job", events.append))
    texts = [event.text for event in events if isinstance(event, Stage)]
    assert "Loading models ..." not in texts
    assert "Downloading upscale models ..." in texts
    percents = [event.percent for event in events if isinstance(event, Stage)]
    assert percents == sorted(percents)


def test_an_address_leads_to_the_same_picture_as_its_bytes(engine, web):
    fetched = ask(engine, input_image=web.gives("/given.png", GIVEN))
    assert stored(fetched) == stored(ask(engine))


def test_a_variation_starts_from_the_picture_and_embeds_its_metadata(engine):
    reply = ask(
        engine, uov_method="vary (subtle)", advanced_params={"overwrite_step": 1, "overwrite_vary_strength": 0.01}
    )
    embedded = read_metadata(stored(reply)[0])
    assert embedded is not None
    assert '"resolution": "(232, 152)"' in embedded.text
    given = np.asarray(textured((48, 32)).resize((232, 152), Image.Resampling.BICUBIC), int)
    made, mirrored = picture(reply), given[:, ::-1]  # hardly varied, but through a small autoencoder
    assert np.abs(made - given).mean() < np.abs(made - mirrored).mean() / 2
    assert reply["params"]["uov_method"] == "Vary (Subtle)"
    assert "input_image" not in reply["params"]


def test_the_parameters_of_a_reply_and_the_picture_make_the_same_again(engine):
    first = ask(engine, uov_method="Upscale (1.5x)", image_seed=-1)
    again = engine.run(first["params"] | {"endpoint": "upscale-vary2", "input_image": text_of(GIVEN)}, Job("j", silent))
    assert np.array_equal(picture(first), picture(again))
    assert first["params"] == again["params"]


def test_a_cancel_is_heard_between_two_tiles(engine):
    heard: list[str] = []

    def sink(event: Event) -> None:
        if isinstance(event, Stage):
            heard.append(event.text)
            if "tile 1/" in event.text:
                job.cancel()

    job = Job("job", sink)
    with pytest.raises(JobCanceled):
        ask(engine, job, input_image=text_of(encoded(textured((600, 32)))))
    assert heard[-1] == "Upscaling image, tile 1/2 ..."


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("", "missing"),
        (7, "string_type"),
        ("no picture", "image_decode_error"),
        (text_of(b"no picture"), "image_decode_error"),
        (text_of(GIVEN[:70]), "image_decode_error"),
        (text_of(encoded(plain((1, 1)))), "image_decode_error"),
        (text_of(encoded(plain((1, 4000)))), "image_decode_error"),
        (text_of(announced(60000, 60000)), "image_decode_error"),
        ("http://127.0.0.2/picture.png", "image_fetch_error"),
        ("http://169.254.169.254/latest/meta-data", "image_fetch_error"),
    ],
)
def test_a_picture_that_cannot_be_used_is_refused_at_its_field(engine, given, kind):
    with pytest.raises(InvalidRequest) as refused:
        ask(engine, input_image=given)
    (problem,) = refused.value.problems
    assert (problem.type, problem.loc) == (kind, ("body", "input_image"))


def test_what_this_deployment_cannot_do_is_refused_as_for_text(engine):
    with pytest.raises(ModelUnavailable, match="safety-checker"):
        ask(engine, advanced_params={"black_out_nsfw": True})
