"""How the tests of pictures that steer ask: small requests to a tiny model that has all adapters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.jobs.job import Job
from fooocus_engine.models.catalogue import CONTROLNET, FACE_DETECTOR
from fooocus_engine.settings import Settings
from fooocus_engine.vision.retina_face import RetinaFace
from tests.e2e.asking import pictures, silent
from tests.golden.records import OWN_RECORDS
from tests.golden.workbench import BASE, Workbench
from tests.pictures import encoded, text_of, textured

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


@contextmanager
def every_adapter() -> Iterator[Path]:
    """A models folder with everything; its face detector sees a face everywhere."""
    with Workbench(OWN_RECORDS) as workbench:
        folder = workbench.resources.settings.models_dir
        write_face_detector(folder)
        yield folder


def write_face_detector(models: Path) -> None:
    """One whose weights are random numbers that see a face everywhere."""
    detector = RetinaFace()
    for head in detector.ClassHead:
        torch.nn.init.zeros_(head.conv1x1.weight)
        head.conv1x1.bias.data = torch.tensor([-9.0, 9.0, -9.0, 9.0])
    torch.save(
        {f"module.{name}": tensor for name, tensor in detector.state_dict().items()},
        models / CONTROLNET / FACE_DETECTOR,
    )


def settings(models: Path, **more: Any) -> Settings:
    return Settings(models_dir=models, device="cpu", dtype="float32", private_urls=(ip_network("127.0.0.0/8"),), **more)


def shown(kind: str, picture: str = WAVES, **more: Any) -> dict[str, Any]:
    return {"cn_img": picture, "cn_type": kind, **more}


def advanced(**more: Any) -> dict[str, Any]:
    return {"advanced_params": {**ASKED["advanced_params"], **more}}


def ask(engine: Engine, *prompts: dict[str, Any], job: Job | None = None, **fields: Any) -> dict[str, Any]:
    return engine.run(ASKED | {"image_prompts": list(prompts)} | fields, job or Job("job", silent))


def picture(engine: Engine, *prompts: dict[str, Any], **fields: Any) -> np.ndarray:
    return pictures(ask(engine, *prompts, **fields))[0]
