"""Requests whose pictures can never travel in their reply, and those that may."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fooocus_engine.bucket import UploadSettings
from fooocus_engine.endpoints.generate.reply_size import LEAST_BYTES, check_reply_size, least_base64
from fooocus_engine.engine import Engine
from fooocus_engine.errors import ReplyTooLarge
from fooocus_engine.jobs.job import Delivery, Job
from fooocus_engine.models.catalogue import Catalogue
from fooocus_engine.output.encode import MEDIA_TYPES, encode
from fooocus_engine.output.storage.folder import FolderStorage
from fooocus_engine.output.storage.inline import InlineStorage
from fooocus_engine.output.storage.s3 import S3Storage
from fooocus_engine.settings import Settings
from tests.endpoints.asking import plan, uov_plan

ASYNC, SYNC = 9_000_000, 18_000_000
LARGE = {"image_number": 32, "aspect_ratios_selection": "2048*2048"}
DRAWN = sorted((Path(__file__).parents[3] / "docs" / "pictures").glob("a-*.png"))


@pytest.fixture
def catalogue(tmp_path):
    return Catalogue(tmp_path)


@pytest.fixture
def inline():
    return InlineStorage()


@pytest.fixture
def bucket():
    return S3Storage(lambda: pytest.fail("the store was asked"), UploadSettings())


def made_for(limit, events=None):
    """A job whose reply may have so many bytes."""
    return Job("j", [].append if events is None else events.append, delivery=Delivery(reply_bytes=limit))


def asked(catalogue, **fields):
    return plan(catalogue, "starter", prompt="a cat", **fields)


def refused(made, storage, limit=ASYNC):
    try:
        check_reply_size(made, storage, made_for(limit))
    except ReplyTooLarge:
        return True
    return False


def test_the_refusal_names_what_the_client_can_change(catalogue, inline):
    with pytest.raises(ReplyTooLarge) as refusal:
        check_reply_size(asked(catalogue, **LARGE), inline, made_for(ASYNC))
    assert all(word in str(refusal.value) for word in ("image_number", "save_extension", "bucket", "9 MB"))


@pytest.mark.parametrize(
    ("fields", "never"),
    [
        ({}, False),
        ({"image_number": 31}, False),
        ({"image_number": 32}, True),  # 32 · 1152 · 896 · 0.21 · 4/3 bytes = 9.25 MB
        ({"image_number": 32, "save_extension": "jpeg"}, False),
        (LARGE, True),
        (LARGE | {"save_extension": "jpg"}, True),
        (LARGE | {"save_extension": "webp"}, False),
    ],
)
def test_pictures_that_never_fit_are_refused_and_others_are_not(catalogue, inline, fields, never):
    assert refused(asked(catalogue, **({"aspect_ratios_selection": "1152*896"} | fields)), inline) is never


def test_what_a_job_of_runsync_may_have_is_twice_as_much(catalogue, inline):
    made = asked(catalogue, image_number=32, aspect_ratios_selection="1152*896")
    assert (refused(made, inline, ASYNC), refused(made, inline, SYNC), refused(made, inline, None)) == (
        True,
        False,
        False,
    )


def test_pictures_that_have_addresses_do_not_travel_unless_they_are_asked_for(catalogue, bucket, tmp_path):
    assert not refused(asked(catalogue, **LARGE), bucket)
    assert refused(asked(catalogue, **LARGE, require_base64=True), bucket)
    assert refused(asked(catalogue, **LARGE), FolderStorage(tmp_path))


def test_given_pictures_may_be_of_one_colour_and_are_not_judged(catalogue):
    assert least_base64(uov_plan(catalogue, (4000, 4000), "Upscale (Fast 2x)")) == 0
    assert least_base64(uov_plan(catalogue, (192, 192), "Upscale (2x)")) > 0


@pytest.mark.parametrize("extension", MEDIA_TYPES)
def test_no_picture_that_the_shipped_model_drew_has_less(extension):
    assert DRAWN
    for path in DRAWN:
        with Image.open(path) as image:
            picture = image.convert("RGB")
        size = len(encode(picture, extension))
        assert size >= picture.width * picture.height * LEAST_BYTES[MEDIA_TYPES[extension]], path.name


def test_the_noise_of_an_autoencoder_alone_has_more():
    noise = np.random.default_rng(0).normal(250, 0.3, (512, 512, 3))
    data = encode(Image.fromarray(noise.round().astype(np.uint8)), "png")
    assert len(data) > 2 * 512 * 512 * LEAST_BYTES["image/png"]


def test_an_engine_refuses_before_it_begins(tmp_path):
    events = []
    engine = Engine(Settings(models_dir=tmp_path, device="cpu"))
    with pytest.raises(ReplyTooLarge):
        engine.run({"endpoint": "text-to-image", "prompt": "a cat", **LARGE}, made_for(ASYNC, events))
    assert events == []
