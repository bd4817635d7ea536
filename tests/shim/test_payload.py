"""Ways of a large request through the platform's limits (api.md §6.4)."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import random
import time

import pytest
from PIL import Image

from fooocus_engine.shim.payload import KEPT_S, Luggage, Packer
from fooocus_engine.shim.platform import BodyTooLarge
from fooocus_engine.shim.settings import ShimSettings
from tests.shim.live import live

POLICY = {"executionTimeout": 600_000}
PUBLIC = "https://door.example"


def noise(form="PNG", size=(400, 400), **options):
    """A picture that no lossless format can shrink, about 0.5 MB; base64."""
    image = Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3))
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return base64.b64encode(buffer.getvalue()).decode()


def settings(**changes):
    return ShimSettings(**{"run_limit_mb": 1, "runsync_limit_mb": 2, **changes})


def pack(packer, given, waited_for=True):
    return asyncio.run(packer.pack(given, policy=POLICY, waited_for=waited_for))


def test_what_fits_goes_by_run():
    parcel = pack(Packer(settings(), None), {"prompt": "größe"})
    assert not parcel.by_runsync
    assert json.loads(parcel.body) == {"input": {"prompt": "größe"}, "policy": POLICY}
    assert "größe".encode() in parcel.body


def test_what_is_waited_for_may_go_by_runsync():
    given = {"input_image": "x" * 1_500_000}
    assert pack(Packer(settings(), None), given).by_runsync
    with pytest.raises(BodyTooLarge, match="takes 1 MB"):
        pack(Packer(settings(), None), given, waited_for=False)


def test_what_is_too_large_names_size_and_limit():
    with pytest.raises(BodyTooLarge, match=r"has 2\.5 MB .* takes 2 MB") as refused:
        pack(Packer(settings(), None), {"input_image": "x" * 2_500_000})
    assert refused.value.status == 413


def test_lossless_pictures_are_made_lossy_where_that_is_allowed():
    given = {
        "prompt": "a" * 30_000,
        "image_prompts": [{"cn_img": noise()}, {"cn_img": f"data:image/png;base64,{noise()}"}],
    }
    parcel = pack(Packer(settings(shrink_inputs=True), None), given, waited_for=False)
    sent = json.loads(parcel.body)["input"]
    assert sent["prompt"] == given["prompt"]
    for entry in sent["image_prompts"]:
        with Image.open(io.BytesIO(base64.b64decode(entry["cn_img"]))) as image:
            assert (image.format, image.size) == ("WEBP", (400, 400))


def test_a_picture_that_lies_on_its_side_is_turned_when_it_is_made_lossy():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90°
    given = {"input_image": noise("PNG", (800, 600), exif=exif)}
    sent = json.loads(pack(Packer(settings(shrink_inputs=True), None), given, waited_for=False).body)["input"]
    with Image.open(io.BytesIO(base64.b64decode(sent["input_image"]))) as image:
        assert image.size == (600, 800)


def test_pictures_are_left_with_the_door_where_workers_can_reach_it(tmp_path):
    picture = noise(size=(700, 700))
    given = {"input_image": picture, "input_mask": None, "n": 3, "prompt": "not a picture" * 10_000}
    luggage = Luggage(tmp_path / "inputs", PUBLIC)
    sent = json.loads(pack(Packer(settings(), luggage), given, waited_for=False).body)["input"]
    assert {name: sent[name] for name in ("input_mask", "n", "prompt")} == {
        n: given[n] for n in ("input_mask", "n", "prompt")
    }
    assert sent["input_image"].startswith(f"{PUBLIC}/inputs/")
    path = luggage.find(sent["input_image"].rpartition("/")[2])
    assert path.read_bytes() == base64.b64decode(picture)


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "nothing", "../secret"])
def test_only_what_was_left_is_found(tmp_path, name):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "inputs").mkdir()
    assert Luggage(tmp_path / "inputs", PUBLIC).find(name) is None


def test_what_no_job_can_need_is_removed(tmp_path):
    luggage = Luggage(tmp_path / "inputs", PUBLIC)
    luggage.clear()
    for name, age in (("old", KEPT_S + 60), ("new", 60)):
        (tmp_path / "inputs").mkdir(exist_ok=True)
        (tmp_path / "inputs" / name).touch()
        os.utime(tmp_path / "inputs" / name, (time.time() - age,) * 2)
    luggage.clear()
    assert [path.name for path in (tmp_path / "inputs").iterdir()] == ["new"]


def test_a_worker_fetches_what_was_left_without_the_key(tmp_path):
    with live(tmp_path, public_url=PUBLIC, apikey="secret") as door:
        address = door.app.state.door.luggage.left(b"picture", None)
        reply = door.get(address.removeprefix(PUBLIC))
        assert (reply.status_code, reply.content) == (200, b"picture")
        assert door.get("/inputs/other").status_code == 404
