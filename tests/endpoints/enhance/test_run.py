"""Finding the part of a picture that a control makes anew: what becomes of a mask, from a fake network."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from fooocus_engine.endpoints.enhance.parts import Part
from fooocus_engine.endpoints.enhance.run import Enhancement, mask_of
from fooocus_engine.endpoints.generate.run import Timer
from fooocus_engine.endpoints.mask.settings import MaskSettings
from fooocus_engine.jobs.events import Event
from fooocus_engine.jobs.job import Job
from tests.endpoints.enhance.test_parts import FACE, HANDS, row

IMAGE = Image.new("RGB", (20, 10))


def found(control: dict[str, Any], **fields: Any) -> tuple[np.ndarray, list[MaskSettings], list[Event]]:
    """The mask of the second of two controls where the network finds one pixel, how it was asked, what was told."""
    asked: list[MaskSettings] = []
    events: list[Event] = []

    def find(image: Image.Image, settings: MaskSettings) -> Image.Image:
        asked.append(settings)
        mask = Image.new("L", image.size)
        mask.putpixel((5, 4), 200)
        return mask

    request, parts = row(enhance_ctrlnets=[FACE, control], **fields)
    nothing: Any = None
    enhancement = Enhancement(request, parts, IMAGE, nothing, Job("job", events.append), Timer(), find)
    last: Part = parts[-1]
    assert last.control is not None
    return np.asarray(mask_of(last.control, len(parts) - 1, IMAGE, enhancement)), asked, events


def test_a_mask_is_grown_and_then_inverted():
    grown, _, _ = found(HANDS | {"enhance_inpaint_erode_or_dilate": 2})
    assert grown[2:7, 3:8].min() == 200 and np.count_nonzero(grown) == 25
    inverted, _, _ = found(HANDS | {"enhance_inpaint_erode_or_dilate": 2, "enhance_mask_invert": True})
    assert np.array_equal(inverted, 255 - grown)


def test_a_mask_as_found_is_left_as_it_is():
    mask, _, _ = found(HANDS)
    assert mask[4, 5] == 200 and np.count_nonzero(mask) == 1


def test_the_network_is_asked_with_the_controls_and_the_jobs_settings():
    control = FACE | {
        "enhance_mask_dino_prompt": "hands", "enhance_mask_sam_model": "vit_l", "enhance_mask_box_threshold": 0.4,
        "enhance_mask_sam_max_detections": 3,
    }  # fmt: skip
    _, (settings,), _ = found(control, advanced_params={"dino_erode_or_dilate": -7, "debugging_dino": True})
    assert settings == MaskSettings("sam", "full", "hands", "vit_l", 0.4, 3, -7, boxes_only=True)


def test_controls_are_counted_among_themselves():
    _, _, (event,) = found(HANDS)
    assert event.text == "Preparing enhancement 2/2 ..."
