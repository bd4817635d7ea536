"""What jobs with pictures that steer leave behind: a plain job afterwards is bit for bit as in a fresh process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from fooocus_engine.engine import Engine
from fooocus_engine.errors import JobCanceled
from fooocus_engine.jobs.events import Event, Step
from fooocus_engine.jobs.job import Job
from tests.e2e.asking import pictures, silent
from tests.e2e.steering import ASKED, BLOTS, REPAINTING, VARYING, advanced, every_adapter, picture, settings, shown
from tests.golden.records import OWN_RECORDS


@pytest.fixture(scope="module")
def models() -> Iterator[Path]:
    with every_adapter() as folder:
        yield folder


@pytest.fixture(scope="module")
def engine(models) -> Engine:
    return Engine(settings(models))


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
LARGE = ("repainting", "varying")  # on the canvas of these endpoints, some hundred times as large
INTERRUPTED = ("image", "face", "edges", "structure", "all kinds", "with a refiner", "with a LoRA and FreeU")

FRESH = """
import sys
import numpy as np
from pathlib import Path
from fooocus_engine.engine import Engine
from tests.e2e.steering import picture, settings
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
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LARGE else n for n in STEERED])
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
