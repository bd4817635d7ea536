"""How the tests here ask: a short request to the shipped model, its reply, and the pictures in it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from PIL import Image

from fooocus_engine.engine import Engine
from fooocus_engine.jobs.events import Event
from fooocus_engine.jobs.job import Job

PLAIN = {
    "endpoint": "text-to-image",
    "preset": "starter",
    "prompt": "a red star",
    "image_seed": 11,
    "advanced_params": {"overwrite_step": 4},
}


def silent(event: Event) -> None:
    """Nobody listens."""


def ask(engine: Engine, **fields: Any) -> dict[str, Any]:
    """The reply to ``PLAIN`` with ``fields`` in it."""
    return engine.run(PLAIN | fields, Job("job", silent))


def stored(reply: dict[str, Any]) -> list[bytes]:
    """The files in a reply."""
    return [base64.b64decode(result["base64"].split(",")[1]) for result in reply["job_result"]]


def pictures(reply: dict[str, Any]) -> list[np.ndarray]:
    """Their pixels ``[h, w, 3]``."""
    return [np.array(Image.open(io.BytesIO(data))) for data in stored(reply)]
